//! Policies as operators read and set them on the admin plane.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_policy as registry;

use super::{
    Word,
    trials::{Canary, Shadow},
};

/// Minisign's signature of a component that is sent: the text of its file in base64.
pub const SIGNATURE_HEADER: &str = "x-signalbox-signature";

/// Which policies run, by name and in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Before routing, in this order.
    #[serde(default)]
    pub pre: Vec<String>,
    /// The one router; `null` leaves routing to the host's own default.
    #[serde(default)]
    pub route: Option<String>,
    /// On replies, in this order.
    #[serde(default)]
    pub post: Vec<String>,
}

/// One revision of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRef {
    /// The operator's name for the policy.
    pub name: String,
    /// sha256 of the component, 64 lowercase hex digits.
    pub revision: String,
}

/// `GET /pipeline`: the pipeline as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineStatus {
    /// Grows by one with every change.
    pub generation: u64,
    /// Before routing, in this order.
    pub pre: Vec<PolicyRef>,
    /// The router.
    pub route: Option<PolicyRef>,
    /// On replies, in this order.
    pub post: Vec<PolicyRef>,
}

/// One policy's revision in force, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The policy.
    pub policy: String,
    /// The revision before; `null` when it had none in force.
    pub from: Option<String>,
    /// The revision after.
    pub to: Option<String>,
}

/// One change of the policies in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activation {
    /// The generation it made.
    pub generation: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// `activate`, `canary`, `rollback`, `deactivate`, `pipeline`, `breaker`, `drift` or `start`.
    pub cause: Word,
    /// The policy that was acted on; `null` for the pipeline as a whole.
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

/// `GET /activations`, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ActivationList {
    /// Every remembered change.
    pub activations: Vec<Activation>,
}

/// What was uploaded, and what came into force with it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Uploaded {
    /// The policy.
    pub name: String,
    /// sha256 of the component, 64 lowercase hex digits.
    pub revision: String,
    /// Size of the component.
    pub bytes: u64,
    /// Hooks it exports: `pre`, `route`, `post`.
    pub hooks: Vec<Word>,
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
    /// What came into force, when that was asked for.
    pub activation: Option<Activation>,
}

/// What one hook of one revision did since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookCounters {
    /// Calls into the component; for `post`, replies opened, pushes and finishes alike.
    pub calls: u64,
    /// Calls turned away on purpose.
    pub refusals: u64,
    /// Failures by code.
    pub failures: BTreeMap<Word, u64>,
    /// Wall clock of all calls, waiting and host imports included, in microseconds.
    pub total_us: u64,
    /// Of it, the guests' own time.
    pub guest_us: u64,
    /// Of it, what the host took: waiting for a turn or for an instance, counting tokens, asking other hosts.
    pub host_us: u64,
    /// Requests over `wasi:http`, by what came of them: `answered`, `denied`, `late`, ...
    #[serde(default)]
    pub http_requests: BTreeMap<Word, u64>,
    /// What they asked of experts.
    #[serde(default)]
    pub asks: u64,
    /// Tokens that experts spent on that.
    #[serde(default)]
    pub asked_tokens: u64,
    /// Fresh instances made.
    pub instances: u64,
    /// Wall clock of making them all, in microseconds.
    pub instance_total_us: u64,
    /// The slowest of them, in microseconds.
    pub instance_max_us: u64,
}

/// One stored revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// sha256 of the component.
    pub revision: String,
    /// Size of the component.
    pub bytes: u64,
    /// When it was uploaded, in milliseconds since the Unix epoch.
    pub uploaded_unix_ms: u64,
    /// Hooks it exports.
    pub hooks: Vec<Word>,
    /// Interfaces it imports.
    pub imports: Vec<String>,
    /// What it did, per hook; empty when it was not in force since the process started.
    pub counters: BTreeMap<Word, HookCounters>,
}

/// What happens to a call when a policy fails in it: `"refuse"`, `"skip"`, `"native"`, or
/// `{"policy": "name"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailureMode {
    /// The call ends with the failure.
    Refuse,
    /// The call goes on as if the policy were not there.
    Skip,
    /// The host's own default router chooses.
    Native,
    /// The same hook of the named policy is asked instead.
    Policy(String),
}

/// A hook in force that is not in service without reserve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutOfService {
    /// The policy.
    pub policy: String,
    /// Its revision in force.
    pub revision: String,
    /// The hook.
    pub hook: Word,
    /// Why, and what mends it.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// What answers calls meanwhile.
    pub mode: FailureMode,
    /// Whether the pipeline calls it.
    pub in_pipeline: bool,
    /// Whether one live call at a time is let through, to see whether it works again.
    pub on_trial: bool,
    /// Whether every call that meets it is turned away.
    pub refuses: bool,
}

/// What a policy keeps from one call to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Bytes of its keys and values.
    pub bytes: u64,
    /// Its keys.
    pub entries: u64,
    /// What did not fit since the process started.
    pub refused: u64,
    /// Why it can't be used, and the mend.
    pub problem: Option<String>,
}

/// One policy and everything known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// The operator's name for it.
    pub name: String,
    /// The revision the operator last asked for.
    pub requested: Option<String>,
    /// The revision in force; differs from `requested` after the breaker or a broken file.
    pub active: Option<String>,
    /// The revision that takes over when the one in force keeps failing.
    pub last_good: Option<String>,
    /// Hooks of the revision in force.
    pub hooks: Vec<Word>,
    /// Whether the revision in force is told what came of its decisions.
    #[serde(default)]
    pub learns: bool,
    /// Imports of the revision in force.
    pub imports: Vec<String>,
    /// Hooks in which the pipeline calls it.
    pub in_pipeline: Vec<Word>,
    /// What happens when it fails, per hook in force.
    pub on_failure: BTreeMap<Word, FailureMode>,
    /// What the revision in force did, per hook.
    pub counters: BTreeMap<Word, HookCounters>,
    /// Hooks of the revision in force that are not in service without reserve.
    pub out_of_service: Vec<OutOfService>,
    /// Why `active` is not `requested`, or can't be run.
    pub problem: Option<String>,
    /// The revision that works in its shadow.
    pub shadow: Option<Shadow>,
    /// The revision that answers a share of its calls.
    pub canary: Option<Canary>,
    /// What it keeps, where the revision in force imports `wasi:keyvalue`.
    pub bucket: Option<Bucket>,
    /// Everything stored, newest first.
    pub revisions: Vec<Revision>,
}

/// `GET /policies`, by name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PolicyList {
    /// All of them.
    pub policies: Vec<Policy>,
}

fn hook(hook: registry::Hook) -> Word {
    hook.name().into()
}

fn hooks(hooks: Vec<registry::Hook>) -> Vec<Word> {
    hooks.into_iter().map(hook).collect()
}

fn each<T, U: From<T>>(all: Vec<T>) -> Vec<U> {
    all.into_iter().map(U::from).collect()
}

fn per_hook<T, U: From<T>>(all: BTreeMap<registry::Hook, T>) -> BTreeMap<Word, U> {
    all.into_iter().map(|(at, of)| (hook(at), of.into())).collect()
}

impl From<registry::Pipeline> for Pipeline {
    fn from(of: registry::Pipeline) -> Self {
        Self { pre: of.pre, route: of.route, post: of.post }
    }
}

impl From<Pipeline> for registry::Pipeline {
    fn from(of: Pipeline) -> Self {
        Self { pre: of.pre, route: of.route, post: of.post }
    }
}

impl From<registry::PolicyRef> for PolicyRef {
    fn from(of: registry::PolicyRef) -> Self {
        Self { name: of.name, revision: of.revision }
    }
}

impl From<registry::PipelineStatus> for PipelineStatus {
    fn from(of: registry::PipelineStatus) -> Self {
        let (pre, post) = (each(of.policies.pre), each(of.policies.post));
        Self { generation: of.generation, pre, route: of.policies.route.map(Into::into), post }
    }
}

impl From<registry::Change> for Change {
    fn from(of: registry::Change) -> Self {
        Self { policy: of.policy, from: of.from, to: of.to }
    }
}

impl From<registry::Activation> for Activation {
    fn from(of: registry::Activation) -> Self {
        Self {
            generation: of.generation,
            at_unix_ms: of.at_unix_ms,
            cause: of.cause.name().into(),
            policy: of.policy,
            changes: each(of.changes),
            before: of.before.into(),
            after: of.after.into(),
            undoes: of.undoes,
            canaries: each(of.canaries),
            reason: of.reason,
        }
    }
}

impl Uploaded {
    /// With what came into force.
    pub(crate) fn of(of: registry::Uploaded, activation: Option<registry::Activation>) -> Self {
        Self {
            name: of.name,
            revision: of.revision,
            bytes: of.bytes,
            hooks: hooks(of.hooks),
            imports: of.imports,
            imports_gained: of.imports_gained,
            imports_lost: of.imports_lost,
            compile_ms: of.compile_ms,
            probe_ms: of.probe_ms,
            already_known: of.already_known,
            activation: activation.map(Into::into),
        }
    }
}

impl From<registry::HookCounters> for HookCounters {
    fn from(of: registry::HookCounters) -> Self {
        Self {
            calls: of.calls,
            refusals: of.refusals,
            failures: of.failures.into_iter().map(|(code, n)| (code.into(), n)).collect(),
            total_us: of.total_us,
            guest_us: of.guest_us,
            host_us: of.host_us,
            http_requests: of.http_requests.into_iter().map(|(how, n)| (how.into(), n)).collect(),
            asks: of.asks,
            asked_tokens: of.asked_tokens,
            instances: of.instances,
            instance_total_us: of.instance_total_us,
            instance_max_us: of.instance_max_us,
        }
    }
}

impl From<registry::RevisionStatus> for Revision {
    fn from(of: registry::RevisionStatus) -> Self {
        Self {
            revision: of.revision,
            bytes: of.bytes,
            uploaded_unix_ms: of.uploaded_unix_ms,
            hooks: hooks(of.hooks),
            imports: of.imports,
            counters: per_hook(of.counters),
        }
    }
}

impl From<registry::OnFailure> for FailureMode {
    fn from(of: registry::OnFailure) -> Self {
        match of {
            registry::OnFailure::Refuse => Self::Refuse,
            registry::OnFailure::Skip => Self::Skip,
            registry::OnFailure::Native => Self::Native,
            registry::OnFailure::Policy(name) => Self::Policy(name),
        }
    }
}

impl From<registry::OutOfService> for OutOfService {
    fn from(of: registry::OutOfService) -> Self {
        Self {
            policy: of.policy,
            revision: of.revision,
            hook: hook(of.hook),
            reason: of.reason,
            since_unix_ms: of.since_unix_ms,
            mode: of.mode.into(),
            in_pipeline: of.in_pipeline,
            on_trial: of.on_trial,
            refuses: of.refuses,
        }
    }
}

impl From<registry::BucketStatus> for Bucket {
    fn from(of: registry::BucketStatus) -> Self {
        let registry::BucketStatus { bytes, entries, refused, problem } = of;
        Self { bytes, entries, refused, problem }
    }
}

impl From<registry::PolicyStatus> for Policy {
    fn from(of: registry::PolicyStatus) -> Self {
        Self {
            name: of.name,
            requested: of.requested,
            active: of.active,
            last_good: of.last_good,
            hooks: hooks(of.hooks),
            learns: of.learns,
            imports: of.imports,
            in_pipeline: hooks(of.in_pipeline),
            on_failure: per_hook(of.on_failure),
            counters: per_hook(of.counters),
            out_of_service: each(of.out_of_service),
            problem: of.problem,
            shadow: of.shadow.map(Into::into),
            canary: of.canary.map(Into::into),
            bucket: of.bucket.map(Into::into),
            revisions: each(of.revisions),
        }
    }
}
