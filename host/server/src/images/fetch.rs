//! One answer of one host, within a bound on bytes, whatever the host may say about other
//! places. Everything is given up at once when the fetch is dropped, because the client is gone.

use axum::{
    body::Bytes,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use signalbox_engine::ImageError;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{ImageProblem, address::Address};
use crate::outgoing::{self, AGENT, NoConnection, exchange, secured};

/// Why there is no image, in words for a client: they show nothing of the network in between.
type Why = String;

/// What can go wrong with one fetch.
enum Failure {
    Unreachable(Why),
    NotAllowed,
    TooLarge,
}

/// Fetches an image.
pub(super) async fn fetch(
    address: &Address,
    hosts: &[String],
    bytes_max: usize,
) -> Result<Bytes, ImageProblem> {
    let host = format!("'{}'", address.host);
    answer(address, hosts, bytes_max).await.map_err(|failure| match failure {
        Failure::Unreachable(why) => ImageProblem::Unreachable { host, why },
        Failure::NotAllowed => {
            let why = "its name leads to an address that is not public".to_owned();
            ImageProblem::NotAllowed { host, why }
        }
        Failure::TooLarge => {
            ImageError::Heavy { bytes: bytes_max.saturating_add(1), max: bytes_max }.into()
        }
    })
}

fn unreachable(why: impl Into<Why>) -> Failure {
    Failure::Unreachable(why.into())
}

async fn answer(address: &Address, hosts: &[String], bytes_max: usize) -> Result<Bytes, Failure> {
    let stream = connect(address, hosts).await?;
    if !address.tls {
        return image(stream, address, bytes_max).await;
    }
    match secured(&address.host, stream).await {
        Ok(stream) => image(stream, address, bytes_max).await,
        Err(error) => {
            tracing::debug!(host = address.host, %error, "an image host can't be trusted");
            Err(unreachable("it can't be talked to over TLS"))
        }
    }
}

async fn connect(address: &Address, hosts: &[String]) -> Result<TcpStream, Failure> {
    let allowed = |ip| address.leads_to(ip, hosts);
    let connected = outgoing::connect(&address.host, address.port, allowed).await;
    connected.map_err(|problem| match problem {
        NoConnection::Unknown => unreachable("its name is not known"),
        NoConnection::NotAllowed => Failure::NotAllowed,
        NoConnection::Refused => unreachable("it accepts no connection"),
    })
}

async fn image(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: &Address,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    let read = async |answer| body(answer, address, bytes_max).await;
    let exchanged = exchange(stream, request(address)?, read).await;
    exchanged.map_err(|error| broken(address, &error))?
}

fn request(address: &Address) -> Result<Request<Empty<Bytes>>, Failure> {
    let authority = address.uri.authority().map_or("", |authority| authority.as_str());
    let path = address.uri.path_and_query().map_or("/", |path| path.as_str());
    Request::get(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, HeaderValue::from_static(AGENT))
        .header(header::ACCEPT, "image/png, image/jpeg, image/webp")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| unreachable("it can't be asked for this"))
}

async fn body(
    answer: Response<Incoming>,
    address: &Address,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(unreachable("it sends us elsewhere, and we don't follow"));
        }
        status => return Err(unreachable(format!("it answers {}", status.as_u16()))),
    }
    match Limited::new(answer.into_body(), bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
        Err(error) => Err(broken(address, &error)),
    }
}

fn broken(address: &Address, error: &dyn std::fmt::Display) -> Failure {
    tracing::debug!(host = address.host, %error, "an image host broke off");
    unreachable("its answer breaks off")
}
