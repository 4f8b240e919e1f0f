//! What an operator declares about policies, already read from wherever it stood.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{BreakerSettings, Compile, Hook, Limits};

/// What happens to a call when a policy fails in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The call ends with the failure.
    Refuse,
    /// The call goes on as if the policy were not there. A router that is skipped leaves the choice
    /// to the host's own default.
    Skip,
    /// For routers: the host's own default chooses. For other hooks the same as [`Self::Skip`].
    Native,
    /// The same hook of the named policy is asked instead; when that fails too, the call ends.
    Policy(String),
}

/// Failure modes of policies that have none of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureDefaults {
    /// Default [`OnFailure::Refuse`]: a guard that fails must not let calls through.
    pub pre: OnFailure,
    /// Default [`OnFailure::Native`]: a call can be answered without a router.
    pub route: OnFailure,
    /// Default [`OnFailure::Refuse`]: a guard that fails must not let text through.
    pub post: OnFailure,
}

impl Default for FailureDefaults {
    fn default() -> Self {
        Self { pre: OnFailure::Refuse, route: OnFailure::Native, post: OnFailure::Refuse }
    }
}

/// What the host takes of one call, so that policies can't make of it what nobody would read. The
/// server sets it; nothing of it is for operators to set here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallBounds {
    /// Messages of a call, edits included.
    pub messages_max: usize,
    /// Bytes of text of a call, edits included.
    pub text_bytes_max: u64,
    /// Members of a consensus.
    pub members_max: usize,
}

impl Default for CallBounds {
    fn default() -> Self {
        Self { messages_max: 8192, text_bytes_max: 32 << 20, members_max: 5 }
    }
}

/// All settings of the policy runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySettings {
    /// Where revisions, pipeline and history are kept. Created when absent; one process at a time.
    pub data_dir: PathBuf,
    /// Where components are compiled.
    pub compile: Compile,
    /// What policies may use.
    pub limits: Limits,
    /// What the host takes of one call.
    pub bounds: CallBounds,
    /// What `wasi:config/store` shows: policy name, then key and value.
    pub settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Failure modes by policy name.
    pub on_failure: BTreeMap<String, OnFailure>,
    /// Failure modes of the others.
    pub failure_defaults: FailureDefaults,
    /// When a hook of a revision is taken out of service.
    pub breaker: BreakerSettings,
}

impl PolicySettings {
    /// The defaults, for a registry in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, compile: Compile) -> Self {
        Self {
            data_dir: data_dir.into(),
            compile,
            limits: Limits::default(),
            bounds: CallBounds::default(),
            settings: BTreeMap::new(),
            on_failure: BTreeMap::new(),
            failure_defaults: FailureDefaults::default(),
            breaker: BreakerSettings::default(),
        }
    }

    /// What happens when `policy` fails in `hook`.
    pub fn on_failure(&self, policy: &str, hook: Hook) -> &OnFailure {
        self.on_failure.get(policy).unwrap_or(match hook {
            Hook::Pre => &self.failure_defaults.pre,
            Hook::Route => &self.failure_defaults.route,
            Hook::Post => &self.failure_defaults.post,
        })
    }
}
