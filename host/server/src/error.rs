//! The one map from what went wrong to what HTTP says: status, stable code, OpenAI's error type, a
//! text that names the thing and the mend, and whose it is. Every error of both planes is made
//! here; what strangers wrote stands in it on one line and cut.

mod codes;
pub(crate) mod dialects;
mod outward;

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use signalbox_confine::clean;
use signalbox_engine::{EngineError, ImageError};
use signalbox_policy::{Failure, Outage, PolicyError, RefusalKind};

use crate::{
    bodies::{Terms, Unread},
    images::{ImageProblem, ImageRefusal},
    pipeline::Refusal,
    quota::Exceeded,
    wire::error::{ErrorAnswer, ErrorBody},
};

/// When a client may try again where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest message and longest name of a field, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;
const PARAM_BYTES_MAX: usize = 200;

/// An error as a client reads it: `{"error": {message, type, param, code, blame}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    status: StatusCode,
    body: ErrorBody,
    retry: Option<Retry>,
}

/// When asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    After(Duration),
    /// When one of the replies under way ends, which frees its place, its body and its pictures.
    WhenOneEnds,
}

impl ApiError {
    /// An error that the client mends.
    pub(crate) fn client(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::new(status, code, "client", &message.into())
    }

    /// An error of this program or its machine.
    pub(crate) fn host(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::new(status, code, "host", &message.into())
    }

    /// The host is not there yet, and what it is doing.
    pub(crate) fn starting(under_way: &str) -> Self {
        let message = format!("the host is starting: {under_way}; retry in a moment");
        Self::host(StatusCode::SERVICE_UNAVAILABLE, "starting", message).retry(RETRY_AFTER)
    }

    /// A value that can't be used.
    pub(crate) fn value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, "invalid_value", message).at(param)
    }

    /// A field that asks for what this server does not do.
    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::client(StatusCode::BAD_REQUEST, "unsupported_parameter", message).at(param)
    }

    /// Names the field.
    pub(crate) fn at(mut self, param: impl Into<String>) -> Self {
        self.0.body.param = Some(clean(&param.into(), PARAM_BYTES_MAX));
        self
    }

    /// The same with another text.
    fn saying(mut self, message: &str) -> Self {
        self.0.body.message = clean(message, MESSAGE_BYTES_MAX);
        self
    }

    /// A component above its limit: it is refused while it is read, in the words of the registry.
    pub(crate) fn upload_too_large(terms: &Terms) -> Self {
        let message = format!(
            "the component has more than the {} bytes it may have; build it with --release and strip \
             debug info, or have the operator raise policies.limits.upload_bytes",
            terms.bytes_max
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, UPLOAD_TOO_LARGE, "policy", &message)
    }

    /// Whether it refuses a body for its size.
    pub(crate) fn is_too_large(&self) -> bool {
        self.0.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// The object that goes into a body or a stream.
    pub(crate) fn to_json(&self) -> ErrorAnswer {
        ErrorAnswer { error: self.0.body.clone() }
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> &str {
        &self.0.body.code
    }

    fn new(status: StatusCode, code: &str, blame: &'static str, message: &str) -> Self {
        let message = clean(message, MESSAGE_BYTES_MAX);
        let body = ErrorBody {
            message,
            r#type: kind(status).into(),
            param: None,
            code: code.to_owned(),
            blame: blame.into(),
        };
        Self(Box::new(Parts { status, body, retry: None }))
    }

    fn retry(mut self, after: Duration) -> Self {
        self.0.retry = Some(Retry::After(after));
        self
    }

    fn retry_when_one_ends(mut self) -> Self {
        self.0.retry = Some(Retry::WhenOneEnds);
        self
    }

    /// An answer that waits for the end of a reply says how long that takes, where it was measured.
    pub(crate) fn measured(response: &mut Response, next_end: impl FnOnce() -> Option<Duration>) {
        let waits = |error: &Self| error.0.retry == Some(Retry::WhenOneEnds);
        if response.extensions().get().is_some_and(waits)
            && let Some(after) = next_end()
        {
            response.headers_mut().insert(header::RETRY_AFTER, seconds(after));
        }
    }
}

/// OpenAI's word for a status.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::CONFLICT => "conflict_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, Json(self.to_json())).into_response();
        let headers = response.headers_mut();
        if let Some(retry) = self.0.retry {
            let after = match retry {
                Retry::After(after) => after,
                Retry::WhenOneEnds => RETRY_AFTER,
            };
            headers.insert(header::RETRY_AFTER, seconds(after));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self); // for whoever asked in another dialect
        response
    }
}

/// `Retry-After` counts whole seconds; rounding down would ask too early.
fn seconds(time: Duration) -> HeaderValue {
    HeaderValue::from(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

impl ApiError {
    /// With the grounds in full, as operators get them.
    fn inner(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Full { .. } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, "too_many_requests", "host", &message).retry_when_one_ends()
            }
            Refusal::Exceeded(exceeded) => Self::exceeded(exceeded, &message),
            Refusal::NotAllowed { .. } => {
                Self::client(StatusCode::FORBIDDEN, "expert_not_allowed", message).at("model")
            }
            Refusal::UnknownExpert { .. } => {
                Self::client(StatusCode::NOT_FOUND, "model_not_found", message).at("model")
            }
            Refusal::NoExpert { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_expert_available",
                "expert",
                &message,
            ),
            Refusal::TooSlow { .. } => {
                Self::host(StatusCode::GATEWAY_TIMEOUT, "reply_timeout", message)
            }
            Refusal::Engine(error) => error.into(),
            Refusal::Policy(error) => error.into(),
        }
    }
}

impl ApiError {
    /// A caller that has had what its key allows.
    fn exceeded(exceeded: Exceeded, message: &str) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let code = |code| Self::client(status, code, message);
        match exceeded {
            Exceeded::Requests { wait, .. } | Exceeded::Tokens { wait, .. } => {
                code("rate_limit_exceeded").retry(wait)
            }
            Exceeded::Calls { .. } => code("concurrent_calls_exceeded").retry_when_one_ends(),
        }
    }
}

impl From<Unread> for ApiError {
    fn from(why: Unread) -> Self {
        let message = why.to_string();
        let client = |status, code| Self::client(status, code, message.as_str());
        match why {
            Unread::TooLarge { .. } => client(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Unread::Late { .. } | Unread::Stalled { .. } => {
                client(StatusCode::REQUEST_TIMEOUT, "body_timeout")
            }
            Unread::Outpaced => client(StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Unread::Broken(_) => client(StatusCode::BAD_REQUEST, "body_unreadable"),
            Unread::Full { .. } => {
                Self::host(StatusCode::SERVICE_UNAVAILABLE, "body_memory_full", message.as_str())
                    .retry_when_one_ends()
            }
        }
    }
}

impl From<ImageRefusal> for ApiError {
    fn from(refusal: ImageRefusal) -> Self {
        let message = refusal.to_string();
        let code = match &refusal.problem {
            ImageProblem::Unusable(ImageError::Unknown | ImageError::Broken(_))
            | ImageProblem::Url(_) => "image_invalid",
            ImageProblem::Unusable(_) => "image_too_large",
            ImageProblem::NotAllowed { .. } => "image_url_not_allowed",
            ImageProblem::Unreachable { .. } => "image_unreachable",
            ImageProblem::Full => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let full = Self::host(status, "images_busy", message).at(refusal.at);
                return full.retry_when_one_ends();
            }
        };
        Self::client(StatusCode::BAD_REQUEST, code, message).at(refusal.at)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let (status, code) = engine(&error);
        let blame = match error.blame() {
            signalbox_engine::Blame::Client => "client",
            signalbox_engine::Blame::Expert => "expert",
            signalbox_engine::Blame::Host => "host",
        };
        let refused = Self::new(status, code, blame, &error.to_string());
        match error {
            EngineError::Unavailable { retry_after, .. } => refused.retry(retry_after),
            EngineError::PromptTooLong { .. }
            | EngineError::PromptOversized { .. }
            | EngineError::Template { .. }
            | EngineError::Blind { .. } => refused.at("messages"),
            EngineError::TextTooLong { .. } | EngineError::TextOversized { .. } => {
                refused.at("input")
            }
            EngineError::UnknownExpert { .. }
            | EngineError::NoReplies { .. }
            | EngineError::NoVectors { .. } => refused.at("model"),
            EngineError::QueueFull { retry_after, .. } => {
                refused.retry(retry_after.unwrap_or(RETRY_AFTER))
            }
            EngineError::ShuttingDown
            | EngineError::Crashed { .. }
            | EngineError::TemplateUnavailable { .. } => refused.retry(RETRY_AFTER),
            _ => refused,
        }
    }
}

fn engine(error: &EngineError) -> (StatusCode, &'static str) {
    match error {
        EngineError::UnknownExpert { .. } => (StatusCode::NOT_FOUND, "model_not_found"),
        EngineError::InvalidRequest { .. } => (StatusCode::BAD_REQUEST, "invalid_value"),
        EngineError::PromptTooLong { .. }
        | EngineError::PromptOversized { .. }
        | EngineError::TextTooLong { .. }
        | EngineError::TextOversized { .. } => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
        EngineError::NoReplies { .. } => (StatusCode::BAD_REQUEST, "chat_not_supported"),
        EngineError::NoVectors { expert: None, .. } => {
            (StatusCode::NOT_FOUND, "embeddings_not_supported")
        }
        EngineError::NoVectors { .. } => (StatusCode::BAD_REQUEST, "embeddings_not_supported"),
        EngineError::Template { .. } => (StatusCode::BAD_REQUEST, "template_refused"),
        EngineError::TemplateFailed { .. } => (StatusCode::SERVICE_UNAVAILABLE, "template_failed"),
        EngineError::TemplateUnavailable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "template_unavailable")
        }
        EngineError::Blind { .. } => (StatusCode::BAD_REQUEST, "images_not_supported"),
        EngineError::Unloadable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "expert_unloadable"),
        EngineError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "expert_unavailable"),
        EngineError::OutOfMemory { .. } => (StatusCode::SERVICE_UNAVAILABLE, "out_of_memory"),
        EngineError::NoRoom { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_room"),
        EngineError::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "queue_full"),
        EngineError::Busy { .. } => (StatusCode::CONFLICT, "expert_busy"),
        EngineError::Crashed { .. } => (StatusCode::SERVICE_UNAVAILABLE, "expert_crashed"),
        EngineError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
    }
}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> Self {
        let blame = match error.blame() {
            signalbox_policy::Blame::Client => "client",
            signalbox_policy::Blame::Policy => "policy",
            signalbox_policy::Blame::Host => "host",
        };
        let code = match &error {
            PolicyError::Refused { kind: RefusalKind::Other(code), .. } => codes::of_guest(code),
            error => error.code().to_owned(),
        };
        let refused = Self::new(policy(&error), &code, blame, &error.to_string());
        match &error {
            PolicyError::Refused { kind: RefusalKind::RateLimited { retry_ms }, .. } => {
                refused.retry(Duration::from_millis((*retry_ms).into()))
            }
            PolicyError::Failed {
                failure: Failure::OutOfService(Outage::Failing { retry_ms }),
                ..
            } => refused.retry(Duration::from_millis(*retry_ms)),
            PolicyError::Busy { .. } | PolicyError::Compiler { .. } => refused.retry(RETRY_AFTER),
            PolicyError::InvalidPipeline { .. } => refused.at("pipeline"),
            PolicyError::InvalidName { .. } => refused.at("name"),
            PolicyError::UnknownRevision { .. } | PolicyError::AmbiguousRevision { .. } => {
                refused.at("revision")
            }
            _ => refused,
        }
    }
}

fn policy(error: &PolicyError) -> StatusCode {
    match error {
        PolicyError::Refused { kind, .. } => refusal(kind),
        PolicyError::Rejected { reason, .. } if reason.code == UPLOAD_TOO_LARGE => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        PolicyError::Rejected { .. } | PolicyError::InvalidPipeline { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        PolicyError::InvalidName { .. } | PolicyError::AmbiguousRevision { .. } => {
            StatusCode::BAD_REQUEST
        }
        PolicyError::UnknownPolicy { .. }
        | PolicyError::UnknownRevision { .. }
        | PolicyError::NoShadowThere { .. }
        | PolicyError::NoCanaryThere { .. } => StatusCode::NOT_FOUND,
        PolicyError::InUse { .. }
        | PolicyError::NewImports { .. }
        | PolicyError::NoShadow { .. }
        | PolicyError::NoCanary { .. }
        | PolicyError::NotAgreed { .. }
        | PolicyError::Unusable { .. }
        | PolicyError::NothingToRollBack
        | PolicyError::RollbackUnclear { .. }
        | PolicyError::TooMany { .. } => StatusCode::CONFLICT,
        PolicyError::Unsigned { .. } => StatusCode::FORBIDDEN,
        PolicyError::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        PolicyError::Failed { failure: Failure::OutOfService(_), .. }
        | PolicyError::Compiler { .. }
        | PolicyError::Unreadable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        PolicyError::Failed { failure, .. } if !failure.is_the_policys() => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        PolicyError::Failed { .. }
        | PolicyError::Locked { .. }
        | PolicyError::Storage { .. }
        | PolicyError::InvalidSettings { .. }
        | PolicyError::Runtime { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The policy crate's code for a component above its limit.
const UPLOAD_TOO_LARGE: &str = "upload_too_large";

fn refusal(kind: &RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalKind::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        RefusalKind::Other(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

#[cfg(test)]
mod tests;
