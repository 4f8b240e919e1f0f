//! What operators see of policies: plain data. What the state file keeps of it can be serialised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Comparison, Hook, OnFailure, Pipeline, PolicyRef};

/// The pipeline as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStatus {
    /// Grows by one with every change.
    pub generation: u64,
    /// The revisions in force.
    pub policies: Pipeline<PolicyRef>,
}

/// Why the policies in force changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// An operator activated a revision.
    Activate,
    /// An operator went back to an earlier state.
    Rollback,
    /// An operator took a policy out.
    Deactivate,
    /// An operator set the pipeline.
    Pipeline,
    /// A revision kept failing.
    Breaker,
    /// A stored revision could not be run when the registry was opened.
    Start,
    /// An operator let a revision answer a share of the calls.
    Canary,
    /// A canary refused or chose otherwise than the revision in force, beyond what is allowed.
    Drift,
}

impl Cause {
    /// As the state file and operators have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Deactivate => "deactivate",
            Self::Pipeline => "pipeline",
            Self::Breaker => "breaker",
            Self::Start => "start",
            Self::Canary => "canary",
            Self::Drift => "drift",
        }
    }
}

/// One policy's revision in force, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The policy.
    pub policy: String,
    /// The revision before; `None` when it had none in force.
    pub from: Option<String>,
    /// The revision after.
    pub to: Option<String>,
}

/// One change of the policies in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The generation it made.
    pub generation: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// Why.
    pub cause: Cause,
    /// The policy that was acted on; `None` for the pipeline as a whole.
    pub policy: Option<String>,
    /// Revisions that changed; may be empty when only the order did.
    pub changes: Vec<Change>,
    /// The pipeline before.
    pub before: Pipeline,
    /// The pipeline after.
    pub after: Pipeline,
    /// For a rollback: the generation it undid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
    /// Canaries that began or ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<Change>,
    /// For what happened by itself: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an accepted upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The policy.
    pub name: String,
    /// sha256 of the component, 64 lowercase hex digits.
    pub revision: String,
    /// Size of the component.
    pub bytes: u64,
    /// Hooks it exports.
    pub hooks: Vec<Hook>,
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// Imports that the revision in force does not have.
    pub imports_gained: Vec<String>,
    /// Imports that only the revision in force has.
    pub imports_lost: Vec<String>,
    /// Milliseconds spent compiling; 0 when it was compiled already.
    pub compile_ms: u64,
    /// Milliseconds spent probing.
    pub probe_ms: u64,
    /// Whether this policy had this revision before.
    pub already_known: bool,
}

/// What one hook of one revision did since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookCounters {
    /// Calls into the component; for `post`, replies opened, pushes and finishes alike.
    pub calls: u64,
    /// Calls turned away on purpose.
    pub refusals: u64,
    /// Failures by [`Failure::code`](crate::Failure::code).
    pub failures: BTreeMap<&'static str, u64>,
    /// Wall clock of all calls, waiting and host imports included, in microseconds.
    pub total_us: u64,
    /// Of it, the guests' own time: running, or asleep of their own will.
    pub guest_us: u64,
    /// Of it, what the host took: waiting for a turn or for room, counting tokens.
    pub host_us: u64,
    /// What they asked of experts.
    pub asks: u64,
    /// Tokens that experts spent on that.
    pub asked_tokens: u64,
    /// Fresh instances made.
    pub instances: u64,
    /// Wall clock of making them all, in microseconds.
    pub instance_total_us: u64,
    /// The slowest of them, in microseconds.
    pub instance_max_us: u64,
    /// Requests over `wasi:http`, by what came of them: `answered`, `denied`, `late`, ...
    pub http_requests: BTreeMap<&'static str, u64>,
    /// Memory of all instances that ended, in bytes.
    pub memory_total_bytes: u64,
    /// The largest of them.
    pub memory_max_bytes: u64,
}

/// What a policy was told of its decisions since the process started, over all its revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedbackStatus {
    /// Outcomes that it was told.
    pub told: u64,
    /// Of these, the ones that it failed to learn from, by [`Failure::code`](crate::Failure::code).
    pub failures: BTreeMap<&'static str, u64>,
    /// Outcomes that it was not told: `queue` (too many waited), `size` (too much text), `gone` (no revision of it is in force).
    pub dropped: BTreeMap<&'static str, u64>,
    /// Wall clock of all that it was told, in microseconds.
    pub total_us: u64,
    /// Of it, the guests' own time.
    pub guest_us: u64,
}

/// One stored revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionStatus {
    /// sha256 of the component.
    pub revision: String,
    /// Size of the component.
    pub bytes: u64,
    /// When it was uploaded, in milliseconds since the Unix epoch.
    pub uploaded_unix_ms: u64,
    /// Hooks it exports.
    pub hooks: Vec<Hook>,
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// What it did, per hook; empty when it was not in force since the process started.
    pub counters: BTreeMap<Hook, HookCounters>,
}

/// A hook in force that is not in service without reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfService {
    /// The policy.
    pub policy: String,
    /// Its revision in force.
    pub revision: String,
    /// The hook.
    pub hook: Hook,
    /// Why, and what mends it.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// What answers calls meanwhile.
    pub mode: OnFailure,
    /// Whether the pipeline calls it.
    pub in_pipeline: bool,
    /// Whether one live call at a time is let through, to see whether it works again.
    pub on_trial: bool,
    /// Whether every call that meets it is turned away.
    pub refuses: bool,
}

/// A revision that works beside the one in force and is only compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowStatus {
    /// The revision.
    pub revision: String,
    /// Since when it is compared with the one in force now, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Whether it failed so often that it is not asked any more.
    pub stopped: bool,
    /// What came of it, per hook.
    pub hooks: BTreeMap<Hook, Comparison>,
}

/// A revision that answers a share of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryStatus {
    /// The revision.
    pub revision: String,
    /// Its share.
    pub percent: u32,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// What the revision in force said since then or since the start, and what the canary did, per hook.
    pub hooks: BTreeMap<Hook, (CanarySide, CanarySide)>,
}

/// What one of two revisions said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CanarySide {
    /// Calls that it said something of.
    pub calls: u64,
    /// Of these, the ones that it turned away.
    pub refusals: u64,
    /// What it said and how often.
    pub verdicts: BTreeMap<String, u64>,
}

/// What a policy keeps from one call to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketStatus {
    /// Bytes of its keys and values.
    pub bytes: u64,
    /// Its keys.
    pub entries: u64,
    /// What did not fit since the process started.
    pub refused: u64,
    /// Why it can't be used.
    pub problem: Option<String>,
}

/// One policy and everything known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStatus {
    /// The operator's name for it.
    pub name: String,
    /// The revision the operator last asked for.
    pub requested: Option<String>,
    /// The revision in force; differs from `requested` after the breaker or a broken file.
    pub active: Option<String>,
    /// The revision that takes over when the one in force keeps failing.
    pub last_good: Option<String>,
    /// Hooks of the revision in force.
    pub hooks: Vec<Hook>,
    /// Whether the revision in force is told what came of its decisions.
    pub learns: bool,
    /// Imports of the revision in force.
    pub imports: Vec<String>,
    /// Hooks in which the pipeline calls it.
    pub in_pipeline: Vec<Hook>,
    /// What happens when it fails, per hook in force.
    pub on_failure: BTreeMap<Hook, OnFailure>,
    /// What the revision in force did, per hook.
    pub counters: BTreeMap<Hook, HookCounters>,
    /// Hooks of the revision in force that are not in service without reserve.
    pub out_of_service: Vec<OutOfService>,
    /// Why `active` is not `requested`, or can't be run.
    pub problem: Option<String>,
    /// The revision in its shadow.
    pub shadow: Option<ShadowStatus>,
    /// The revision that answers a share of its calls.
    pub canary: Option<CanaryStatus>,
    /// What it keeps, where the revision in force may keep something.
    pub bucket: Option<BucketStatus>,
    /// Everything stored, newest first.
    pub revisions: Vec<RevisionStatus>,
}
