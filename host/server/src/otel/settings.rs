//! What an operator may set about traces.

use axum::http::{HeaderName, HeaderValue, Uri};

/// Where traces go and how they are written.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// Where OTLP over HTTP is taken, as in `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: Uri,
    /// What goes with every request: whoever takes traces may want a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What this host is called.
    pub service: String,
    /// Which attributes say what a model did.
    pub gen_ai: GenAi,
}

impl TraceSettings {
    /// An address that traces can be sent to.
    pub fn endpoint(text: &str) -> Option<Uri> {
        let uri: Uri = text.parse().ok()?;
        let host = uri.host().is_some_and(|host| !host.is_empty());
        (host && matches!(uri.scheme_str(), Some("http" | "https"))).then_some(uri)
    }

    /// A header that can be sent.
    pub fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
        name.parse().ok().zip(value.parse().ok())
    }
}

/// Which version of OpenTelemetry's conventions for generative models spans follow. They are not stable yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GenAi {
    /// None of them.
    Off,
    /// As in 1.36 and before: `gen_ai.system`.
    #[default]
    V1_36,
    /// As since 1.37: `gen_ai.provider.name`.
    V1_37,
}

/// Shows no header: it may be a key.
impl std::fmt::Debug for TraceSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceSettings")
            .field("endpoint", &self.endpoint)
            .field("headers", &self.headers.len())
            .field("service", &self.service)
            .field("gen_ai", &self.gen_ai)
            .finish()
    }
}
