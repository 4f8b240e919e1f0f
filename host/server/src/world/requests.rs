//! Requests of policies, sent on the threads that serve, to hosts that the policy runtime has found in the operator's list.

use axum::http::{HeaderValue, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use signalbox_policy::{HttpHost, HttpProblem};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    task::JoinHandle,
};

use crate::outgoing::{AGENT, NoConnection, connect, exchange, is_public, secured};

/// Sends a request on `runtime`, and reads the whole answer. Given up when the future is dropped.
pub(super) async fn send(
    runtime: &Handle,
    to: &HttpHost,
    request: Request<Bytes>,
    bytes_max: u64,
) -> Result<Response<Bytes>, HttpProblem> {
    let to = to.clone();
    let asking = async move { answer(&to, request, bytes_max).await };
    let mut asking = EndOnDrop(runtime.spawn(asking));
    (&mut asking.0).await.unwrap_or(Err(HttpProblem::Broken))
}

/// A task that nobody waits for any more ends.
struct EndOnDrop<T>(JoinHandle<T>);

impl<T> Drop for EndOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer(
    to: &HttpHost,
    request: Request<Bytes>,
    bytes_max: u64,
) -> Result<Response<Bytes>, HttpProblem> {
    let request = addressed(to, request)?;
    let allowed = |ip| to.may_be_private() || is_public(ip);
    let stream = connect(&to.host, to.port, allowed).await.map_err(|problem| match problem {
        NoConnection::Unknown => HttpProblem::Unresolved,
        NoConnection::NotAllowed => HttpProblem::Private,
        NoConnection::Refused => HttpProblem::Refused,
    })?;
    if !to.tls {
        return exchanged(stream, request, bytes_max).await;
    }
    let stream = secured(&to.host, stream).await.map_err(|error| {
        tracing::debug!(%to, %error, "a host that a policy asks can't be trusted");
        HttpProblem::Untrusted
    })?;
    exchanged(stream, request, bytes_max).await
}

/// The request as the host is to read it: its path alone, one exchange, and who asks, where the policy does not say.
fn addressed(to: &HttpHost, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, HttpProblem> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse::<Uri>().map_err(|_| HttpProblem::Invalid)?;
    let host = HeaderValue::try_from(to.authority()).map_err(|_| HttpProblem::Invalid)?;
    parts.headers.insert(header::HOST, host);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let agent = HeaderValue::from_static(AGENT);
    parts.headers.entry(header::USER_AGENT).or_insert(agent);
    Ok(Request::from_parts(parts, Full::new(body)))
}

async fn exchanged(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    bytes_max: u64,
) -> Result<Response<Bytes>, HttpProblem> {
    let read = async |answer| whole(answer, bytes_max).await;
    exchange(stream, request, read).await.map_err(|_| HttpProblem::Broken)?
}

async fn whole(answer: Response<Incoming>, bytes_max: u64) -> Result<Response<Bytes>, HttpProblem> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, usize::try_from(bytes_max).unwrap_or(usize::MAX)).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => HttpProblem::ResponseTooLarge(bytes_max),
        false => HttpProblem::Broken,
    })?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn a_request_is_addressed_to_the_host_that_was_found_and_to_no_other() {
        let to = HttpHost::parse("http://localhost:8001").unwrap();
        let request = Request::post("http://LOCALHOST:8001/a?b=c")
            .header(header::HOST, "elsewhere")
            .header(header::USER_AGENT, "mine")
            .body(Bytes::from_static(b"x"));
        let request = addressed(&to, request.unwrap()).unwrap();
        assert_eq!(request.uri(), "/a?b=c");
        assert_eq!(request.headers()[header::HOST], "localhost:8001");
        assert_eq!(request.headers().get_all(header::HOST).iter().count(), 1);
        assert_eq!(request.headers()[header::USER_AGENT], "mine");
    }

    /// A host that says this much, in clear.
    async fn saying(bytes: usize) -> HttpHost {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let said = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\n\r\n".to_owned();
            let _ = stream.write_all((said + &"x".repeat(bytes)).as_bytes()).await;
        });
        HttpHost::parse(&format!("http://127.0.0.1:{port}")).unwrap()
    }

    async fn asked(to: &HttpHost, bytes_max: u64) -> Result<Response<Bytes>, HttpProblem> {
        let request = Request::get("/").body(Bytes::new()).unwrap();
        send(&Handle::current(), to, request, bytes_max).await
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up_at_its_bound() {
        let whole = asked(&saying(1000).await, 1000).await.unwrap();
        assert_eq!((whole.status().as_u16(), whole.body().len()), (302, 1000));
        let more = asked(&saying(1001).await, 1000).await;
        assert_eq!(more.err(), Some(HttpProblem::ResponseTooLarge(1000)));
    }

    #[tokio::test]
    async fn who_can_not_be_reached_is_told_apart() {
        let check = async |entry: &str, expect| {
            let to = HttpHost::parse(entry).unwrap();
            assert_eq!(asked(&to, 10).await.err(), Some(expect), "{entry}");
        };
        let unbound = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        check(&format!("http://{unbound}"), HttpProblem::Refused).await;
        check("http://no-such-host.invalid", HttpProblem::Unresolved).await;
        let clear = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = clear.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = clear.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        check(&format!("https://{at}"), HttpProblem::Untrusted).await;
    }
}
