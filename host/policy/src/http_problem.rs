//! Why a request of a policy came to nothing: for the guest an error of `wasi:http`, for operators a word in the counters.

use wasmtime_wasi_http::Error;

/// Why a request was not sent or has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpProblem {
    /// The operator does not list its host, or the call has sent as many as it may.
    #[error("the operator does not let this policy send it")]
    Denied,
    /// Nothing is sent from here: an upload that is probed, a revision in shadow, a case of a test.
    #[error("nothing is sent from here")]
    NoNetwork,
    /// The host's name stands for an address that is not public.
    #[error(
        "its name stands for a private address; where that is meant, list it with private: before it"
    )]
    Private,
    /// Nobody knows the host's name.
    #[error("its name is not known")]
    Unresolved,
    /// No connection is accepted.
    #[error("it accepts no connection")]
    Refused,
    /// The host can't show that it is the one.
    #[error("it can't be talked to over TLS")]
    Untrusted,
    /// The connection ended before the answer did.
    #[error("its answer breaks off")]
    Broken,
    /// The request itself makes no sense.
    #[error("it can't be asked for this")]
    Invalid,
    /// The request's body is larger than it may be.
    #[error("the request has more than {0} bytes")]
    RequestTooLarge(u64),
    /// The answer's body is larger than it may be.
    #[error("its answer has more than {0} bytes")]
    ResponseTooLarge(u64),
    /// The time is over.
    #[error("it takes too long")]
    Late,
    /// The host has no memory for it now.
    #[error("there is no memory for it now")]
    NoMemory,
}

impl HttpProblem {
    /// How it is counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NoNetwork => "no_network",
            Self::Private => "private_address",
            Self::Unresolved => "unresolved",
            Self::Refused => "refused",
            Self::Untrusted => "untrusted",
            Self::Broken => "broken",
            Self::Invalid => "invalid",
            Self::RequestTooLarge(_) => "request_too_large",
            Self::ResponseTooLarge(_) => "response_too_large",
            Self::Late => "late",
            Self::NoMemory => "no_memory",
        }
    }
}

impl From<HttpProblem> for Error {
    fn from(problem: HttpProblem) -> Self {
        match problem {
            HttpProblem::Denied | HttpProblem::NoNetwork => Self::HttpRequestDenied,
            HttpProblem::Private => Self::DestinationIpProhibited,
            HttpProblem::Unresolved => Self::DnsError { rcode: None, info_code: None },
            HttpProblem::Refused => Self::ConnectionRefused,
            HttpProblem::Untrusted => Self::TlsCertificateError,
            HttpProblem::Broken => Self::HttpResponseIncomplete,
            HttpProblem::Invalid => Self::HttpProtocolError,
            HttpProblem::RequestTooLarge(most) => Self::HttpRequestBodySize(Some(most)),
            HttpProblem::ResponseTooLarge(most) => Self::HttpResponseBodySize(Some(most)),
            HttpProblem::Late => Self::HttpResponseTimeout,
            HttpProblem::NoMemory => Self::InternalError(Some(problem.to_string())),
        }
    }
}
