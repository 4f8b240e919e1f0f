//! Requests of a component, over `wasi:http`.

use std::time::Duration;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

use crate::exchange::{Error, Place, Request, Response};

/// What a stream takes at once without being asked.
const CHUNK: usize = 4096;
/// What is read at once.
const PIECE: u64 = 64 << 10;

/// Sends a request, and waits for the whole answer.
pub(crate) fn send(request: &Request, to: &Place<'_>, within: Duration) -> Result<Response, Error> {
    let outgoing = outgoing(request, to)?;
    let body = outgoing.body().map_err(|()| invalid("its content-length"))?;
    let nanoseconds = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    // Answers come whole, so the time until their first byte is all of it.
    options.set_first_byte_timeout(Some(nanoseconds)).map_err(|()| invalid("its time"))?;
    let pending = outgoing_handler::handle(outgoing, Some(options)).map_err(failed)?;
    // A body that is not taken is a request that fails, and its answer says why.
    if write(&body, request.sent()).is_ok() {
        let _ = OutgoingBody::finish(body, None);
    } else {
        drop(body);
    }
    answer(&pending, request.most())
}

fn outgoing(request: &Request, to: &Place<'_>) -> Result<OutgoingRequest, Error> {
    let headers = Fields::new();
    for (name, value) in request.headers() {
        let added = headers.append(name, value.as_bytes());
        added.map_err(|error| invalid(&format!("the header '{name}': {error:?}")))?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let method = if request.method() == "GET" { Method::Get } else { Method::Post };
    outgoing.set_method(&method).map_err(|()| invalid("its method"))?;
    let scheme = if to.tls { Scheme::Https } else { Scheme::Http };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| invalid("its scheme"))?;
    outgoing.set_authority(Some(to.authority)).map_err(|()| invalid("its host"))?;
    let path = if to.path.is_empty() { "/" } else { to.path };
    outgoing.set_path_with_query(Some(path)).map_err(|()| invalid("its path"))?;
    Ok(outgoing)
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else { return Err(StreamError::Closed) };
    bytes.chunks(CHUNK).try_for_each(|chunk| stream.blocking_write_and_flush(chunk))
}

fn answer(pending: &FutureIncomingResponse, most: usize) -> Result<Response, Error> {
    let incoming = loop {
        match pending.get() {
            Some(Ok(answer)) => break answer.map_err(failed)?,
            Some(Err(())) => return Err(Error::Failed("its answer was taken".to_owned())),
            None => pending.subscribe().block(),
        }
    };
    let mut response = Response::new(incoming.status(), read(&incoming.consume(), most)?);
    for (name, value) in incoming.headers().entries() {
        response = response.with_header(&name, &String::from_utf8_lossy(&value));
    }
    Ok(response)
}

fn read(body: &Result<IncomingBody, ()>, most: usize) -> Result<Vec<u8>, Error> {
    let stream = body.as_ref().ok().and_then(|body| body.stream().ok());
    let stream = stream.ok_or_else(|| Error::Failed("its body was taken".to_owned()))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(PIECE) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(Error::Failed(error.to_debug_string()));
            }
        }
        if bytes.len() > most {
            return Err(Error::TooLarge);
        }
    }
}

fn invalid(what: &str) -> Error {
    Error::Invalid(format!("{what} can't be sent"))
}

fn failed(error: ErrorCode) -> Error {
    match error {
        ErrorCode::HttpRequestDenied => Error::Denied,
        ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionTimeout => Error::Timeout,
        ErrorCode::HttpRequestBodySize(_) | ErrorCode::HttpResponseBodySize(_) => Error::TooLarge,
        other => Error::Failed(format!("{other:?}")),
    }
}
