//! `wasi:http`: requests of policies to hosts that their operator lists. The types of the interface are wasmtime's; who may be
//! asked, how often, for how long and for how much is decided here, and the world does the sending. Requests and answers
//! are whole before they are passed on, so that both are bounded, and the connection is nobody's but the world's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::time::timeout_at;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks};

use crate::{
    HttpHost, HttpProblem,
    instance_log::Log,
    instances::Share,
    lent::{Lent, Turn},
    meter::Gauge,
    scheduler::HostWork,
};

/// Bytes of all headers of one request.
const HEADER_BYTES: usize = 16 << 10;
/// Bytes of a body that the guest may hand over at once.
const CHUNK_BYTES: usize = 64 << 10;
/// What an answer counts as that came.
const ANSWERED: &str = "answered";
/// What a request counts as that the guest or its end gave up.
const GIVEN_UP: &str = "given_up";

/// What one call into an instance has asked of others.
pub(crate) struct Http {
    pub(crate) ctx: WasiHttpCtx,
    pub(crate) sender: Sender,
}

/// Sends the requests of one call of a hook.
pub(crate) struct Sender {
    lent: Arc<Lent>,
    turn: Turn,
    log: Log,
    gauge: Gauge,
    memory: Share,
    sent: u64,
    /// When the time of them all is over; it begins with the first.
    until: Option<Instant>,
}

/// A request that may be sent.
struct Sending {
    to: HttpHost,
    lent: Arc<Lent>,
    until: Instant,
    memory: Share,
    _working: HostWork,
}

/// Counts a request when it has come to its end.
struct Counted {
    gauge: Gauge,
    how: &'static str,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.request(self.how);
    }
}

impl Http {
    pub(crate) fn new(
        lent: &Arc<Lent>,
        turn: &Turn,
        log: &Log,
        gauge: &Gauge,
        memory: Share,
    ) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(HEADER_BYTES);
        let (lent, turn, log, gauge) = (lent.clone(), turn.clone(), log.clone(), gauge.clone());
        Self { ctx, sender: Sender { lent, turn, log, gauge, memory, sent: 0, until: None } }
    }
}

impl Sender {
    /// Whether a request may be sent; it counts then, and its time runs.
    fn admit(&mut self, request: &Request<WasiBody>) -> Result<Sending, HttpProblem> {
        if self.lent.compared {
            return Err(HttpProblem::NoNetwork);
        }
        if request.method() == Method::CONNECT {
            return Err(HttpProblem::Invalid);
        }
        let limits = &self.lent.limits;
        let asked = HttpHost::asked(request.uri()).ok_or(HttpProblem::Invalid)?;
        let Some(to) = asked.among(&self.lent.http_hosts).cloned() else {
            self.warn(format_args!("it may not ask {asked}, which is not in policies.http_hosts"));
            return Err(HttpProblem::Denied);
        };
        if self.sent >= limits.http_requests {
            let most = limits.http_requests;
            self.warn(format_args!("it may send {most} requests in one call of a hook"));
            return Err(HttpProblem::Denied);
        }
        let mut memory = self.memory.sibling();
        let bytes = limits.http_request_bytes + limits.http_response_bytes;
        memory.take(bytes).map_err(|_| HttpProblem::NoMemory)?;
        self.sent += 1;
        let until = *self.until.get_or_insert_with(|| Instant::now() + limits.http_time());
        let (lent, _working) = (self.lent.clone(), self.turn.own_time.host_works());
        Ok(Sending { to, lent, until, memory, _working })
    }

    /// What an operator should know, within the bound on lines of the guest's log.
    fn warn(&self, what: std::fmt::Arguments<'_>) {
        if self.log.take_line() {
            tracing::warn!(target: "policy", policy = %self.lent.policy, "{what}");
        }
    }
}

impl Sending {
    /// The whole answer, with the memory that it takes.
    async fn run(
        &mut self,
        request: Request<WasiBody>,
        within: Option<Duration>,
    ) -> Result<Response<WasiBody>, HttpProblem> {
        let own = within.map(|within| Instant::now() + within);
        let until = own.map_or(self.until, |own| own.min(self.until));
        let answer = timeout_at(until.into(), self.exchange(request)).await;
        let answer = answer.unwrap_or(Err(HttpProblem::Late))?;
        let mut held = self.memory.sibling();
        self.memory = self.memory.sibling();
        held.take(answer.body().len() as u64).map_err(|_| HttpProblem::NoMemory)?;
        Ok(answer.map(|body| kept(body, held)))
    }

    async fn exchange(&self, request: Request<WasiBody>) -> Result<Response<Bytes>, HttpProblem> {
        let limits = &self.lent.limits;
        let (mut parts, body) = request.into_parts();
        // The body is whole by now, and says by itself how long it is.
        parts.headers.remove(header::CONTENT_LENGTH);
        let most = limits.http_request_bytes;
        let body = Limited::new(body, most as usize).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => HttpProblem::RequestTooLarge(most),
            false => HttpProblem::Invalid,
        })?;
        let request = Request::from_parts(parts, body.to_bytes());
        self.lent.world.send(&self.to, request, limits.http_response_bytes).await
    }
}

/// A body that holds its share of the memory for as long as it is there.
fn kept(body: Bytes, held: Share) -> WasiBody {
    let body = Full::new(body).map_frame(move |frame| {
        let _held = &held;
        frame
    });
    body.map_err(|never| match never {}).boxed_unsync()
}

/// The answer, and what is still to be done for it; there is nothing, since it is whole.
type Answered =
    Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Sender {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        let admitted = self.admit(&request);
        let counted = Counted { gauge: self.gauge.clone(), how: GIVEN_UP };
        let policy = self.lent.policy.clone();
        Box::new(async move {
            let (mut counted, began) = (counted, Instant::now()); // whole, so that its drop counts here
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let within = options.and_then(|options| options.first_byte_timeout);
            let answer = match admitted {
                Ok(mut sending) => sending.run(request, within).await,
                Err(problem) => Err(problem),
            };
            counted.how = answer.as_ref().map_or_else(|problem| problem.name(), |_| ANSWERED);
            let (took, how) = (began.elapsed(), counted.how);
            tracing::debug!(target: "policy", %policy, %method, %uri, ?took, how, "it sent a request");
            let answer = answer?;
            let nothing: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((answer, nothing))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }
}
