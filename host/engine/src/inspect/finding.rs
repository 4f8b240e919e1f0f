//! What was noticed about an expert, and what follows from it.

use std::fmt;

use crate::files::{CheckpointError, Kind};

/// Codes of findings that may be gone at the next look.
pub(crate) const RESOURCES_SHORT: &str = "resources-short";
const CHECKPOINT_CHANGED: &str = "checkpoint-changed";

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The expert is served, but not quite as declared.
    Warning,
    /// The expert can't be served.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing noticed about an expert, with the mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Stable kebab-case name, for scripts.
    pub code: &'static str,
    /// What is so.
    pub message: String,
    /// What to do about it; empty where nothing needs doing.
    pub mend: String,
}

impl Finding {
    /// Something that keeps an expert from being served.
    pub(crate) fn error(
        code: &'static str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), mend: mend.into() }
    }

    /// It may well be gone at the next look.
    fn passes(&self) -> bool {
        matches!(self.code, RESOURCES_SHORT | CHECKPOINT_CHANGED)
    }
}

impl From<CheckpointError> for Finding {
    fn from(error: CheckpointError) -> Self {
        let code = match error.kind {
            Kind::Missing => "checkpoint-incomplete",
            Kind::Truncated => "checkpoint-truncated",
            Kind::Malformed => "checkpoint-malformed",
            Kind::Unsupported => "checkpoint-unsupported",
            Kind::Unreadable => "checkpoint-unreadable",
            Kind::Lacking => RESOURCES_SHORT,
            Kind::Changed => CHECKPOINT_CHANGED,
        };
        Self::error(code, error.message(), error.mend)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
    }
}

/// Everything that keeps one expert from being served, each with its code and its mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Finding>);

impl Faults {
    /// All of it may be gone at the next look.
    pub(crate) fn passes(&self) -> bool {
        self.0.iter().all(Finding::passes)
    }

    /// One by one; there is at least one.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl<F: Into<Finding>> From<F> for Faults {
    fn from(fault: F) -> Self {
        Self(vec![fault.into()])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; also, "))
    }
}

/// What the files of one expert say. Fields are `None` where they could not be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    /// The checkpoint's own name for its architecture, as in `Phi3ForCausalLM`.
    pub architecture: Option<String>,
    /// What the weights really are: `awq int4 g128`, `bf16`, `gguf q4_1`,
    /// `int4 g128 (quantised while loading from bf16)`.
    pub quantization: Option<String>,
    /// Bytes the weights take when loaded.
    pub weight_bytes: Option<u64>,
    /// Bytes of KV cache for each token of each sequence.
    pub kv_bytes_per_token: Option<u64>,
    /// Longest prompt plus reply in tokens, after the operator's own limit.
    pub context_length: Option<u32>,
    /// Bytes set aside when the expert is loaded: weights and the KV reserve.
    pub memory_bytes: Option<u64>,
    /// There is a chat template that compiles.
    pub chat: bool,
    /// There is a vision tower, so that prompts may have images.
    pub images: bool,
    /// Elements of the vectors that it makes of texts, one where it scores them; `None` where it replies.
    pub vector_width: Option<u32>,
    /// It scores pairs of texts instead of making vectors.
    pub ranks: bool,
    /// Everything noticed, the worst first.
    pub findings: Vec<Finding>,
}

impl Inspection {
    /// Why the expert can't be served; `None` when it can.
    pub fn failure(&self) -> Option<Faults> {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<Finding> = errors.cloned().collect();
        (!errors.is_empty()).then_some(Faults(errors))
    }

    /// Whether it can't be served, and all that keeps it from it may be gone at the next look.
    pub(crate) fn passes(&self) -> bool {
        self.failure().is_some_and(|faults| faults.passes())
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.push(Finding { severity, code, message: message.into(), mend: mend.into() });
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }
}
