//! The start-up report: per expert what it is, what was noticed and what mends it.

use std::collections::{BTreeMap, BTreeSet};

use indicatif::HumanBytes;
use signalbox_engine::{Finding, Severity};

use crate::{
    config::Ignored,
    term::{say, say_wrapped},
};

/// One expert in a report.
pub(crate) struct Entry<'e> {
    pub(crate) id: &'e str,
    pub(crate) domain: &'e str,
    pub(crate) architecture: Option<&'e str>,
    pub(crate) quantization: Option<&'e str>,
    pub(crate) weight_bytes: Option<u64>,
    pub(crate) context_length: Option<u32>,
    pub(crate) findings: &'e [Finding],
}

impl Entry<'_> {
    /// Whether something keeps it from being served.
    pub(crate) fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// What it is, in a few words.
    fn summary(&self) -> String {
        let words = [
            Some(self.domain.to_owned()),
            self.architecture.map(str::to_owned),
            self.quantization.map(str::to_owned),
            self.weight_bytes.map(|bytes| HumanBytes(bytes).to_string()),
            self.context_length.map(|tokens| format!("context {tokens}")),
        ];
        words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// Prints the experts, aligned, each with its findings.
pub(crate) fn say_experts(entries: &[Entry<'_>]) {
    let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or_default();
    for entry in entries {
        let mark = if entry.is_broken() { "✗" } else { "✓" };
        say!("  {mark} {:width$}  {}", entry.id, entry.summary());
        entry.findings.iter().for_each(say_finding);
    }
}

fn say_finding(finding: &Finding) {
    say!("      {:7}  {} [{}]", finding.severity.to_string(), finding.message, finding.code);
    if !finding.mend.is_empty() {
        say!("               {}", finding.mend);
    }
}

/// Prints the keys that have no effect, by reason.
pub(crate) fn say_ignored(ignored: &BTreeSet<Ignored>) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Ignored { key, why } in ignored {
        by_reason.entry(why).or_default().push(key);
    }
    for (why, keys) in by_reason {
        say!("  {why}:");
        say_wrapped(6, &keys);
    }
}
