//! The task that sends traces. It has all the time it needs, for nobody waits for it; what can't be sent is dropped and
//! counted, so a receiver that is gone costs one line in the log and no memory.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{net::TcpStream, time::timeout};

use super::{
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
        let sent = timeout(SEND, send(&shared.settings, &batch)).await;
        match sent.unwrap_or_else(|_| Err(format!("it takes longer than {SEND:?}"))) {
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

async fn send(settings: &TraceSettings, batch: &[TraceOfCall]) -> Result<(), String> {
    let uri = &settings.endpoint;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let request = request(settings, batch)?;
    let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    let status = async |answer: Response<Incoming>| answer.status();
    let status = match tls {
        true => {
            let stream = secured(host, stream).await.map_err(|error| error.to_string())?;
            exchange(stream, request, status).await
        }
        false => exchange(stream, request, status).await,
    };
    match status.map_err(|error| error.to_string())? {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answers {}", status.as_u16())),
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
