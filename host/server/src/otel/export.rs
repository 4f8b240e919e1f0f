//! The task that sends traces. It has all the time it needs, for nobody waits for it; what can't be sent is sent again
//! within bounds, then dropped and counted, so a receiver that is gone costs one line in the log and no more memory than
//! the queue has.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    retry::{Pauses, Unsent},
    settings::TraceSettings,
    span::{TraceOfCall, written},
    tracer::Tracer,
};
use crate::outgoing::{AGENT, exchange, secured};

/// Calls that are sent together.
const BATCH: usize = 64;
/// How long others are waited for.
const GATHER: Duration = Duration::from_millis(200);
/// For one batch: connecting, sending, and the answer.
const SEND: Duration = Duration::from_secs(10);

/// Sends traces for as long as there may be some.
pub(crate) async fn export(tracer: Tracer) {
    let Some(shared) = tracer.0 else { return };
    let Some(mut waiting) = shared.take_queue() else { return };
    let (mut batch, mut failing) = (Vec::new(), false);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let gather = async {
            let mut room = BATCH - batch.len();
            while room > 0 {
                room -= waiting.recv_many(&mut batch, room).await;
            }
        };
        // Running out of time is what ends the gathering, as a rule.
        let _ = timeout(GATHER, gather).await;
        match delivered(&shared.settings, &batch).await {
            Ok(()) if std::mem::take(&mut failing) => tracing::info!("traces are taken again"),
            Ok(()) => {}
            Err(why) => {
                shared.failed.fetch_add(batch.len() as u64, Relaxed);
                if !std::mem::replace(&mut failing, true) {
                    let endpoint = &shared.settings.endpoint;
                    tracing::warn!(%endpoint, why, "traces can't be sent; they are dropped and counted until they can");
                }
            }
        }
        let sent = batch.drain(..).count();
        shared.pending.send_modify(|pending| *pending -= sent);
    }
}

/// Sends a batch, and once more where that may help; the error is the last one's.
async fn delivered(settings: &TraceSettings, batch: &[TraceOfCall]) -> Result<(), String> {
    let mut pauses = Pauses::default();
    loop {
        let sent = timeout(SEND, send(settings, batch)).await;
        let late = |_| Err(Unsent::unanswered(format!("it takes longer than {SEND:?}")));
        let Err(unsent) = sent.unwrap_or_else(late) else { return Ok(()) };
        let Some(pause) = pauses.next(&unsent) else { return Err(unsent.why) };
        tracing::debug!(why = unsent.why, ?pause, "traces are sent once more");
        sleep(pause).await;
    }
}

async fn send(settings: &TraceSettings, batch: &[TraceOfCall]) -> Result<(), Unsent> {
    let uri = &settings.endpoint;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let request = request(settings, batch).map_err(Unsent::unsendable)?;
    let stream = TcpStream::connect((host, port)).await.map_err(Unsent::unanswered)?;
    let head = async |answer: Response<Incoming>| answer.into_parts().0;
    let head = match tls {
        true => {
            let stream = secured(host, stream).await.map_err(Unsent::unanswered)?;
            exchange(stream, request, head).await
        }
        false => exchange(stream, request, head).await,
    };
    match head.map_err(Unsent::unanswered)? {
        head if head.status.is_success() => Ok(()),
        head => Err(Unsent::refused(head.status, &head.headers)),
    }
}

fn request(
    settings: &TraceSettings,
    batch: &[TraceOfCall],
) -> Result<Request<Full<Bytes>>, String> {
    let uri = &settings.endpoint;
    let mut request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::USER_AGENT, HeaderValue::from_static(AGENT))
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &settings.headers {
        request = request.header(name, value);
    }
    let body = written(&settings.service, batch).to_string();
    request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
}
