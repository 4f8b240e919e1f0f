//! What can go wrong around policies, whose it is, and what mends it.

use std::{borrow::Cow, path::PathBuf};

use serde::{Deserialize, Serialize};
use signalbox_confine::OutOfBounds;

use crate::{Agreement, Hook, PolicyRef, needless};

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever sent the call, the upload or the command.
    Client,
    /// The policy's author.
    Policy,
    /// The machine or this program.
    Host,
}

/// Why a policy turned a call away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalKind {
    /// The call is not allowed.
    Forbidden,
    /// The call is too large.
    TooLarge,
    /// Too many calls.
    RateLimited {
        /// Milliseconds after which to try again.
        retry_ms: u32,
    },
    /// Something else, as a short stable code of the policy's own.
    Other(String),
}

/// How a hook failed. A refusal is not a failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The component trapped, and how.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It ran, or slept, for too long.
    #[error("it did not answer within {limit_ms} ms")]
    Deadline {
        /// The hook's deadline, which counts the guest's own time only.
        limit_ms: u64,
    },
    /// It asked for more memory than it may have.
    #[error("it asked for {wanted_bytes} bytes of memory and may have {limit_bytes}")]
    Memory {
        /// Bytes it would have had.
        wanted_bytes: u64,
        /// Bytes it may have.
        limit_bytes: u64,
    },
    /// Its answer is too large.
    #[error("it answered with more than the {limit_bytes} bytes it may")]
    OutputTooLarge {
        /// Bytes it may answer with.
        limit_bytes: u64,
    },
    /// Its answer makes no sense, and why.
    #[error("its answer is invalid: {0}")]
    Invalid(String),
    /// It held back more of a reply than it may.
    #[error("it held back {held_bytes} bytes of the reply and may hold {limit_bytes}")]
    HeldTooMuch {
        /// Bytes held.
        held_bytes: u64,
        /// Bytes it may hold.
        limit_bytes: u64,
    },
    /// It held back a part of a reply for longer than it may.
    #[error("it held back a part of the reply for {held_ms} ms and may for {limit_ms} ms")]
    HeldTooLong {
        /// Milliseconds held.
        held_ms: u64,
        /// Milliseconds it may hold.
        limit_ms: u64,
    },
    /// No room to run it: too many policy instances live at once. The policy is not to blame.
    #[error("there was no room to run it within {limit_ms} ms; too many calls are under way")]
    NoRoom {
        /// Milliseconds spent waiting; 0 for what is not waited for.
        limit_ms: u64,
    },
    /// All policies together have the memory they may have. This one is not to blame.
    #[error(
        "all policies together use the {limit_bytes} bytes they may; too many calls are under way"
    )]
    NoMemory {
        /// Bytes for all policies together.
        limit_bytes: u64,
    },
    /// The host failed while it ran this policy, and how. The policy is not to blame.
    #[error("this host failed while running it: {0}")]
    Broken(String),
    /// The host did not give it the time it was due: it waited for its turn, for room or for tokens
    /// to be counted. The policy is not to blame.
    #[error("this host did not get round to it within {limit_ms} ms; too many calls are under way")]
    Overloaded {
        /// Milliseconds that a call may take with all waiting.
        limit_ms: u64,
    },
    /// It was not asked at all.
    #[error("it is out of service: {0}")]
    OutOfService(Outage),
}

/// Why a hook of a policy is out of service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// Too many calls failed in it; it is tried again after a while.
    #[error("it kept failing; mend it, or roll back")]
    Failing {
        /// Milliseconds until it is tried again, at most.
        retry_ms: u64,
    },
    /// Its stored component can't be run, and why.
    #[error("its component can't be run: {0}")]
    Unusable(String),
}

impl Failure {
    /// A stable name for logs, metrics and error bodies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap(_) => "policy_trapped",
            Self::Deadline { .. } => "policy_deadline",
            Self::Memory { .. } => "policy_memory",
            Self::OutputTooLarge { .. } => "policy_output_too_large",
            Self::Invalid(_) => "policy_invalid_answer",
            Self::HeldTooMuch { .. } | Self::HeldTooLong { .. } => "policy_held_too_much",
            Self::OutOfService(_) => "policy_out_of_service",
            Self::NoRoom { .. } | Self::NoMemory { .. } => "policy_no_room",
            Self::Overloaded { .. } => "policy_overloaded",
            Self::Broken(_) => "policy_host_failed",
        }
    }

    /// Whether the policy, not the host, has to change.
    pub fn is_the_policys(&self) -> bool {
        !self.is_the_hosts() && !matches!(self, Self::OutOfService(Outage::Unusable(_)))
    }

    /// Whether the host could not run the policy, which did nothing wrong.
    pub fn is_the_hosts(&self) -> bool {
        matches!(
            self,
            Self::NoRoom { .. } | Self::NoMemory { .. } | Self::Overloaded { .. } | Self::Broken(_)
        )
    }
}

/// Why an upload was refused: a stable code, what is wrong, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{text}; {mend}")]
pub struct UploadProblem {
    /// Stable, snake case: `upload_core_module`, `upload_import_not_offered`, ...
    pub code: Cow<'static, str>,
    /// What is wrong.
    pub text: String,
    /// What the author can do.
    pub mend: String,
}

/// Anything that stops a call or a command at a policy. The text names the thing and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A policy turned the call away on purpose.
    #[error("{message}")]
    Refused {
        /// Who refused.
        policy: PolicyRef,
        /// Why.
        kind: RefusalKind,
        /// The policy's words to the client.
        message: String,
    },
    /// A policy failed and its failure mode is to refuse the call.
    #[error("policy {policy} failed in its {hook} hook: {failure}")]
    Failed {
        /// Who failed.
        policy: PolicyRef,
        /// Where.
        hook: Hook,
        /// How.
        failure: Failure,
    },
    /// An upload was refused.
    #[error("the upload of policy '{name}' is refused: {reason}")]
    Rejected {
        /// The name it was uploaded under.
        name: String,
        /// Why.
        reason: Box<UploadProblem>,
    },
    /// The name can't be a policy's name.
    #[error(
        "'{name}' can't name a policy; use 1 to 64 lowercase letters, digits, '-' and '_', \
         beginning with a letter or a digit"
    )]
    InvalidName {
        /// The name given.
        name: String,
    },
    /// No policy has this name.
    #[error("there is no policy '{name}'; upload one under this name first")]
    UnknownPolicy {
        /// The name given.
        name: String,
    },
    /// The policy has no such revision.
    #[error("policy '{name}' has no revision '{revision}'")]
    UnknownRevision {
        /// The policy.
        name: String,
        /// The revision or prefix given.
        revision: String,
    },
    /// A prefix fits more than one revision.
    #[error("'{prefix}' fits {matches} revisions of policy '{name}'; give more digits")]
    AmbiguousRevision {
        /// The policy.
        name: String,
        /// The prefix given.
        prefix: String,
        /// How many fit.
        matches: usize,
    },
    /// The pipeline asked for makes no sense, and why.
    #[error("{message}")]
    InvalidPipeline {
        /// What is wrong and how to mend it.
        message: String,
    },
    /// The revision may not be removed, and why.
    #[error("revision {policy} can't be removed: {reason}")]
    InUse {
        /// The revision.
        policy: PolicyRef,
        /// Who needs it.
        reason: &'static str,
    },
    /// The revision imports what the one in force does not, and nobody allowed it.
    #[error(
        "revision {policy} imports what the one in force does not: {}; it stays staged until you say \
         that it may (--allow-new-imports, or \"allow_new_imports\": true){}",
        imports.join(", "),
        needless::mend(imports)
    )]
    NewImports {
        /// The revision.
        policy: PolicyRef,
        /// The interfaces that are new.
        imports: Vec<String>,
    },
    /// A revision that was stored earlier can't be run any more.
    #[error("revision {policy} can't be run: {problem}")]
    Unusable {
        /// The revision.
        policy: PolicyRef,
        /// Why not.
        problem: String,
    },
    /// There is no earlier state.
    #[error("there is no earlier activation to roll back to")]
    NothingToRollBack,
    /// A rollback that would do more than going back.
    #[error("{message}")]
    RollbackUnclear {
        /// What it would do, and what to say instead.
        message: String,
    },
    /// Too many components wait to be compiled.
    #[error("{waiting} components are already waiting to be compiled; retry in a moment")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The process that compiles could not be had. Passes by itself.
    #[error("components can't be compiled now: {problem}; retry in a moment")]
    Compiler {
        /// The system's words.
        problem: String,
    },
    /// Components have to be signed, and this one is not by anybody who is trusted.
    #[error(
        "{name} is not taken: {problem}; sign it with a key of policies.signing_keys (minisign -Sm FILE) and push it \
         with the signature beside it"
    )]
    Unsigned {
        /// The policy.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// There are as many policies as there may be.
    #[error("there are already {limit} policies; remove the revisions of one first")]
    TooMany {
        /// Policies there may be.
        limit: usize,
    },
    /// The registry's state can't be read, so nobody knows which policies a call has to pass.
    #[error(
        "which policies are in force can't be read, so no call is let through: {problem}; mend the \
         file and restart, or say what is to be in force (PUT /pipeline, or policies.pipeline)"
    )]
    Unreadable {
        /// The file, and what is wrong with it.
        problem: String,
    },
    /// Another process uses the registry.
    #[error("{} is in use by another process; give each its own folder", path.display())]
    Locked {
        /// The registry's folder.
        path: PathBuf,
    },
    /// The registry's folder can't be read or written.
    #[error("{}: {problem}; is the folder there, writable, and has it space?", path.display())]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        problem: String,
    },
    /// A revision can't work in shadow, and why.
    #[error("policy {policy} can't work in shadow: {why}")]
    NoShadow {
        /// The revision.
        policy: PolicyRef,
        /// Why, and the mend.
        why: &'static str,
    },
    /// No revision of the policy works in shadow.
    #[error("no revision of policy '{name}' works in shadow")]
    NoShadowThere {
        /// The policy.
        name: String,
    },
    /// A revision can't be a canary, and why.
    #[error("policy {policy} can't be a canary: {why}")]
    NoCanary {
        /// The revision.
        policy: PolicyRef,
        /// Why, and the mend.
        why: String,
    },
    /// The policy has no canary.
    #[error("policy '{name}' has no canary; `activate` with `canary` begins one")]
    NoCanaryThere {
        /// The policy.
        name: String,
    },
    /// A revision has not shown that it agrees with the one in force as far as it was asked to.
    #[error(
        "policy {policy} agrees with the revision in force in {} of {} calls, and {} % of at least {calls} is asked \
         for; let it work in shadow for longer or replay decisions with it, mend it, or ask for less",
        shown.agreed, shown.compared, f64::from(*permille) / 10.0
    )]
    NotAgreed {
        /// The revision.
        policy: PolicyRef,
        /// What it has shown.
        shown: Agreement,
        /// The share of calls that is asked for, of 1000.
        permille: u32,
        /// Of at least so many.
        calls: u64,
    },
    /// A setting is out of bounds.
    #[error(transparent)]
    InvalidSettings(#[from] OutOfBounds),
    /// WebAssembly can't run on this machine, or the thread that compiles is gone.
    #[error("policies can't run here: {problem}")]
    Runtime {
        /// What failed.
        problem: String,
    },
}

impl PolicyError {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Failed { failure, .. } if failure.is_the_policys() => Blame::Policy,
            Self::Rejected { .. } | Self::Unusable { .. } => Blame::Policy,
            Self::Failed { .. }
            | Self::Busy { .. }
            | Self::Unreadable { .. }
            | Self::Compiler { .. }
            | Self::Locked { .. }
            | Self::Storage { .. }
            | Self::InvalidSettings(_)
            | Self::Runtime { .. } => Blame::Host,
            _ => Blame::Client,
        }
    }

    /// A stable snake-case code for error bodies.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { kind: RefusalKind::Other(code), .. } => code,
            Self::Refused { kind: RefusalKind::Forbidden, .. } => "policy_forbidden",
            Self::Refused { kind: RefusalKind::TooLarge, .. } => "policy_too_large",
            Self::Refused { kind: RefusalKind::RateLimited { .. }, .. } => "policy_rate_limited",
            Self::Failed { failure, .. } => failure.code(),
            Self::Rejected { reason, .. } => &reason.code,
            Self::InvalidName { .. } => "policy_name_invalid",
            Self::UnknownPolicy { .. } => "policy_not_found",
            Self::UnknownRevision { .. } => "revision_not_found",
            Self::AmbiguousRevision { .. } => "revision_ambiguous",
            Self::InvalidPipeline { .. } => "pipeline_invalid",
            Self::InUse { .. } => "revision_in_use",
            Self::NewImports { .. } => "revision_new_imports",
            Self::NoCanary { .. } => "canary_impossible",
            Self::NoCanaryThere { .. } => "canary_not_found",
            Self::NoShadow { .. } => "shadow_impossible",
            Self::NoShadowThere { .. } => "shadow_not_found",
            Self::NotAgreed { .. } => "revision_not_agreed",
            Self::Unusable { .. } => "revision_unusable",
            Self::NothingToRollBack => "nothing_to_roll_back",
            Self::RollbackUnclear { .. } => "rollback_unclear",
            Self::Busy { .. } => "uploads_busy",
            Self::Compiler { .. } => "compiler_unavailable",
            Self::Unsigned { .. } => "policy_unsigned",
            Self::TooMany { .. } => "too_many_policies",
            Self::Unreadable { .. } => "policies_unreadable",
            Self::Locked { .. } => "registry_locked",
            Self::Storage { .. } => "registry_storage",
            Self::InvalidSettings(_) => "policy_settings_invalid",
            Self::Runtime { .. } => "policy_runtime",
        }
    }
}
