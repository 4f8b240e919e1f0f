//! `policies`: where the registry lives, what policies may use, and what is deployed at start.

use std::path::{Path, PathBuf};

use signalbox_policy::{
    BreakerSettings, Compile, FailureDefaults, Limits, OnFailure, Pipeline, PolicySettings,
};
use signalbox_server::ServerSettings;

use crate::{config::Section, confined::Work, runtime};

/// The registry's folder beside the configuration file, when `data_dir` is absent.
const DATA_DIR_DEFAULT: &str = "signalbox-data";
/// How `on_failure` names another policy.
const INSTEAD: &str = "policy:";

/// The field of [`BreakerSettings`] that a key of `policies.breaker` sets.
type BreakerField = fn(&mut BreakerSettings) -> &mut u64;

/// The keys of `policies.breaker`; [`BreakerSettings::table`] has their bounds.
const BREAKER: [(&str, BreakerField); 9] = [
    ("failures", |b| &mut b.failures),
    ("calls", |b| &mut b.calls),
    ("failed_percent", |b| &mut b.failed_percent),
    ("callers", |b| &mut b.callers),
    ("callers_percent", |b| &mut b.callers_percent),
    ("window_ms", |b| &mut b.window_ms),
    ("cooldown_ms", |b| &mut b.cooldown_ms),
    ("cooldown_max_ms", |b| &mut b.cooldown_max_ms),
    ("probe_ms", |b| &mut b.probe_ms),
];

/// The policy runtime's settings, and what is deployed through its front door at start.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// What the runtime is told.
    pub(crate) registry: PolicySettings,
    /// Component files by policy name, uploaded at each start.
    pub(crate) components: Vec<(String, PathBuf)>,
    /// The pipeline to put in force at each start; `None` keeps the one the registry remembers.
    pub(crate) pipeline: Option<Pipeline>,
}

/// Reads `policies`. Relative paths begin at `folder`; limits without a value of their own fit
/// `server`.
pub(super) fn read(section: &Section<'_>, folder: &Path, server: &ServerSettings) -> Deployment {
    let data_dir = section.text("data_dir").unwrap_or(DATA_DIR_DEFAULT);
    let defaults =
        PolicySettings::new(folder.join(data_dir), Compile::Child(Work::Compile.program()));
    let settings = section.section("settings").named_sections();
    let components = section.section("components").pairs();
    Deployment {
        registry: PolicySettings {
            limits: limits(&section.section("limits"), server),
            settings: settings
                .into_iter()
                .map(|(policy, values)| (policy, values.pairs().into_iter().collect()))
                .collect(),
            on_failure: modes(section).into_iter().collect(),
            failure_defaults: failure_defaults(&section.section("failure_defaults")),
            breaker: breaker(section),
            ..defaults
        },
        components: components.into_iter().map(|(name, file)| (name, folder.join(file))).collect(),
        pipeline: pipeline(&section.section("pipeline")),
    }
}

/// The key `breaker_failures` is older than the section and means its `failures`.
fn breaker(section: &Section<'_>) -> BreakerSettings {
    let mut breaker = BreakerSettings::default();
    let bounds = breaker.table();
    let own = section.section("breaker");
    for (key, field) in BREAKER {
        let bounds = bounds.iter().find(|(name, ..)| *name == key).map(|(.., b)| b.clone());
        let bounds = bounds.unwrap_or(0..=u64::MAX);
        let older =
            (key == "failures").then(|| section.integer("breaker_failures", bounds.clone()));
        if let Some(value) = own.integer(key, bounds).or(older.flatten()) {
            *field(&mut breaker) = value;
        }
    }
    breaker
}

/// Every limit of the runtime is a key of `policies.limits`.
fn limits(section: &Section<'_>, server: &ServerSettings) -> Limits {
    let sized = Limits::sized_for(server.in_flight_max as u64, server.body_bytes_max as u64);
    let mut limits = Limits { workers: runtime::policy_workers() as u64, ..sized };
    for (name, default, bounds) in limits.table() {
        let value = section.integer(name, bounds).unwrap_or(default);
        if let Some(limit) = limits.field(name) {
            *limit = value;
        }
    }
    limits
}

fn pipeline(section: &Section<'_>) -> Option<Pipeline> {
    let pipeline = Pipeline {
        pre: section.texts("pre"),
        route: section.text("route").map(str::to_owned),
        post: section.texts("post"),
    };
    section.is_present().then_some(pipeline)
}

fn modes(section: &Section<'_>) -> Vec<(String, OnFailure)> {
    let written = section.section("on_failure").pairs();
    let modes = written.into_iter().filter_map(|(policy, text)| {
        let mode = mode(&text);
        if mode.is_none() {
            section.mistake("on_failure", format!("{policy}: \"{text}\" {MODES}"));
        }
        Some((policy, mode?))
    });
    modes.collect()
}

fn failure_defaults(section: &Section<'_>) -> FailureDefaults {
    let defaults = FailureDefaults::default();
    let read = |key, default| {
        let Some(text) = section.text(key) else { return default };
        mode(text).unwrap_or_else(|| {
            section.mistake(key, format!("\"{text}\" {MODES}"));
            default
        })
    };
    FailureDefaults {
        pre: read("pre", defaults.pre),
        route: read("route", defaults.route),
        post: read("post", defaults.post),
    }
}

const MODES: &str = "is no failure mode; use refuse, skip, native or policy:NAME";

fn mode(text: &str) -> Option<OnFailure> {
    match text {
        "refuse" => Some(OnFailure::Refuse),
        "skip" => Some(OnFailure::Skip),
        "native" => Some(OnFailure::Native),
        other => other
            .strip_prefix(INSTEAD)
            .filter(|name| !name.is_empty())
            .map(|name| OnFailure::Policy(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_breaker_is_a_key() {
        let known: Vec<_> = BREAKER.iter().map(|(key, _)| *key).collect();
        let table: Vec<_> =
            BreakerSettings::default().table().into_iter().map(|(name, ..)| name).collect();
        assert_eq!(known, table);
    }

    #[test]
    fn failure_modes_are_words() {
        let check = |text, expect| assert_eq!(mode(text), expect, "{text}");
        check("refuse", Some(OnFailure::Refuse));
        check("policy:guard", Some(OnFailure::Policy("guard".into())));
        check("policy:", None);
        check("retry", None);
    }
}
