//! What was noticed about an expert, and what follows from it.

use std::fmt;

/// Codes of findings that may be gone at the next look.
pub(super) const RESOURCES_SHORT: &str = "resources-short";
pub(super) const CHECKPOINT_CHANGED: &str = "checkpoint-changed";

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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
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
    /// Everything noticed, the worst first.
    pub findings: Vec<Finding>,
}

impl Inspection {
    /// Why the expert can't be served; `None` when it can.
    pub fn failure(&self) -> Option<String> {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let texts: Vec<String> = errors.map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join("; also, "))
    }

    /// Whether it can't be served, and all that keeps it from it may be gone at the next look.
    pub(crate) fn passes(&self) -> bool {
        let errors = || self.findings.iter().filter(|found| found.severity == Severity::Error);
        let passes = |found: &Finding| matches!(found.code, RESOURCES_SHORT | CHECKPOINT_CHANGED);
        errors().next().is_some() && errors().all(passes)
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (message, mend) = (message.into(), mend.into());
        self.findings.push(Finding { severity, code, message, mend });
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }
}
