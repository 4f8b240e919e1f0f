//! What the guest asks of other hosts when it is told to; it says what came of it.

use std::time::Duration;

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest,
            RequestOptions, Scheme,
        },
    },
    io::streams::StreamError,
};

/// `get URL`, `thrice URL`, `within MS URL`, `send BYTES URL`, `connect URL`, or `leave URL`; nothing for other words.
pub(crate) fn reason(message: &str) -> Option<String> {
    let words: Vec<&str> = message.split(' ').collect();
    Some(match words.as_slice() {
        ["get", url] => said(ask(url, &Method::Get, None, None)),
        ["thrice", url] => {
            let asked = (0..3).map(|_| said(ask(url, &Method::Get, None, None)));
            asked.collect::<Vec<_>>().join(", ")
        }
        ["within", ms, url] => said(ask(url, &Method::Get, ms.parse().ok(), None)),
        ["send", bytes, url] => said(ask(url, &Method::Post, None, bytes.parse().ok())),
        ["connect", url] => said(ask(url, &Method::Connect, None, None)),
        ["leave", url] => {
            let pending = begin(url, &Method::Get, None, None);
            std::thread::sleep(Duration::from_secs(100));
            format!("{}", pending.is_ok())
        }
        _ => return None,
    })
}

fn ask(
    url: &str,
    method: &Method,
    within_ms: Option<u64>,
    bytes: Option<usize>,
) -> Result<String, ErrorCode> {
    let pending = begin(url, method, within_ms, bytes)?;
    let answer = loop {
        match pending.get() {
            Some(answer) => break answer.unwrap_or(Err(ErrorCode::LoopDetected))?,
            None => pending.subscribe().block(),
        }
    };
    let (status, body) = (answer.status(), answer.consume());
    let stream = body.as_ref().ok().and_then(|body| body.stream().ok());
    let mut text = format!("{status} ");
    while let Some(Ok(piece)) = stream.as_ref().map(|stream| stream.blocking_read(1 << 16)) {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    Ok(text)
}

fn begin(
    url: &str,
    method: &Method,
    within_ms: Option<u64>,
    bytes: Option<usize>,
) -> Result<FutureIncomingResponse, ErrorCode> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    let set = request.set_method(method).is_ok()
        && request.set_scheme(Some(&scheme)).is_ok()
        && request.set_authority(Some(authority)).is_ok()
        && request.set_path_with_query(Some(path)).is_ok();
    let body = request.body().map_err(|()| ErrorCode::ConfigurationError)?;
    let options = RequestOptions::new();
    let within = within_ms.map(|ms| ms * 1_000_000);
    if !set || options.set_first_byte_timeout(within).is_err() {
        return Err(ErrorCode::ConfigurationError);
    }
    let pending = outgoing_handler::handle(request, Some(options))?;
    let written = write(&body, bytes.unwrap_or(0));
    let _ = written.is_ok().then(|| OutgoingBody::finish(body, None));
    Ok(pending)
}

fn write(body: &OutgoingBody, bytes: usize) -> Result<(), StreamError> {
    let stream = body.write().map_err(|()| StreamError::Closed)?;
    vec![7; bytes].chunks(4096).try_for_each(|chunk| stream.blocking_write_and_flush(chunk))
}

fn said(asked: Result<String, ErrorCode>) -> String {
    asked.unwrap_or_else(|error| format!("{error:?}"))
}
