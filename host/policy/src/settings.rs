//! What an operator declares about policies, already read from wherever it stood.

use std::{collections::BTreeMap, path::PathBuf};

use signalbox_confine::Bounded;

use crate::{
    BreakerSettings, CallBounds, CanarySettings, Compile, Hook, HttpHost, Limits, OnFailure,
    PerHook, PolicyError, SigningKeys, hook::table::spec,
};

/// All settings of the policy runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySettings {
    /// Where revisions, pipeline and history are kept. Created when absent; one process at a time.
    pub data_dir: PathBuf,
    /// Where components are compiled.
    pub compile: Compile,
    /// Whose components are taken; anybody's where there is no key.
    pub signing_keys: SigningKeys,
    /// What policies may use.
    pub limits: Limits,
    /// What the host takes of one call.
    pub bounds: CallBounds,
    /// What `wasi:config/store` shows: policy name, then key and value.
    pub settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Whom policies may ask over `wasi:http`, by policy name; nobody where nothing is said.
    pub http_hosts: BTreeMap<String, Vec<HttpHost>>,
    /// Failure modes by policy name.
    pub on_failure: BTreeMap<String, OnFailure>,
    /// Failure modes of the others.
    pub failure_defaults: PerHook<OnFailure>,
    /// When a hook of a revision is taken out of service.
    pub breaker: BreakerSettings,
    /// When a canary is ended because it decides otherwise.
    pub canary: CanarySettings,
}

impl PolicySettings {
    /// The defaults, for a registry in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, compile: Compile) -> Self {
        Self {
            data_dir: data_dir.into(),
            compile,
            signing_keys: SigningKeys::default(),
            limits: Limits::default(),
            bounds: CallBounds::default(),
            settings: BTreeMap::new(),
            http_hosts: BTreeMap::new(),
            on_failure: BTreeMap::new(),
            failure_defaults: PerHook::from_fn(|hook| spec(hook).on_failure.clone()),
            breaker: BreakerSettings::default(),
            canary: CanarySettings::default(),
        }
    }

    /// Refuses limits that are out of bounds.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        self.limits.check()?;
        self.breaker.check()?;
        self.canary.check()?;
        Ok(())
    }

    /// What happens when `policy` fails in `hook`.
    pub fn on_failure(&self, policy: &str, hook: Hook) -> &OnFailure {
        self.on_failure.get(policy).unwrap_or(&self.failure_defaults[hook])
    }
}
