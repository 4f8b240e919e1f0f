//! What the router found out about a call.

/// What a call is about, as far as its text says.
pub(crate) struct Verdict {
    pub(crate) domain: String,
    pub(crate) confidence: f32,
    pub(crate) why: String,
}

impl Verdict {
    pub(crate) fn images() -> Self {
        Self { domain: "images".to_owned(), confidence: 1.0, why: "the call has images".to_owned() }
    }

    pub(crate) fn none(refuge: &str, confidence: f32) -> Self {
        let why = "no domain stands out".to_owned();
        Self { domain: refuge.to_owned(), confidence, why }
    }
}
