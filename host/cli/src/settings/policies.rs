//! `policies`: where the registry lives, what policies may use, and what is deployed at start.

use std::{collections::BTreeMap, path::PathBuf};

use signalbox_confine::{LINE_BYTES, clean};
use signalbox_policy::{
    BreakerSettings, CanarySettings, Compile, HttpHost, Limits, OnFailure, PerHook, Pipeline,
    PolicySettings, SigningKeys,
};
use signalbox_server::ServerSettings;

use super::surroundings::Places;
use crate::{config::Section, confined::Work, runtime};

/// The registry's folder beside the configuration file, when `data_dir` is absent.
const DATA_DIR_DEFAULT: &str = "signalbox-data";
/// How `on_failure` names another policy.
const INSTEAD: &str = "policy:";

/// The policy runtime's settings, and what is deployed through its front door at start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    /// Settings of the runtime.
    pub(crate) registry: PolicySettings,
    /// Component files by policy name, uploaded at each start.
    pub(crate) components: Vec<(String, PathBuf)>,
    /// The pipeline to put in force at each start; `None` keeps the one the registry remembers.
    pub(crate) pipeline: Option<Pipeline>,
}

/// Reads `policies`, and of `limits` what was one of theirs. Limits
/// without a value of their own fit `server`.
pub(super) fn read(
    section: &Section<'_>,
    older: &Section<'_>,
    places: &Places<'_>,
    server: &ServerSettings,
) -> Deployment {
    let data_dir = section.text("data_dir").unwrap_or(DATA_DIR_DEFAULT);
    let defaults =
        PolicySettings::new(places.find(data_dir), Compile::Child(Work::Compile.program()));
    let settings = section.section("settings").named_sections();
    let components = section.section("components").pairs();
    Deployment {
        registry: PolicySettings {
            signing_keys: signing_keys(section),
            limits: limits(&section.section("limits"), older, server),
            settings: settings
                .into_iter()
                .map(|(policy, values)| (policy, values.pairs().into_iter().collect()))
                .collect(),
            http_hosts: http_hosts(section),
            on_failure: modes(section).into_iter().collect(),
            failure_defaults: failure_defaults(
                &section.section("failure_defaults"),
                &defaults.failure_defaults,
            ),
            breaker: breaker(section),
            canary: canary(section),
            ..defaults
        },
        components: components.into_iter().map(|(name, file)| (name, places.find(&file))).collect(),
        pipeline: pipeline(&section.section("pipeline")),
    }
}

/// The key `breaker_failures` is older than the section and means its `failures`.
fn breaker(section: &Section<'_>) -> BreakerSettings {
    let mut breaker = BreakerSettings::default();
    section.limit("breaker_failures", &mut breaker, "failures");
    section.section("breaker").limits(&mut breaker);
    breaker
}

fn canary(section: &Section<'_>) -> CanarySettings {
    let mut canary = CanarySettings::default();
    section.section("canary").limits(&mut canary);
    canary
}

/// Those without a value of their own fit `server`. The key `limits.upload_bytes_max` is older than
/// the section and means its `upload_bytes`.
fn limits(section: &Section<'_>, older: &Section<'_>, server: &ServerSettings) -> Limits {
    let (calls, body) = (server.limits.in_flight_max, server.limits.body_bytes_max);
    let sized = Limits::sized_for(calls as u64, body as u64);
    let mut limits = Limits { workers: runtime::policy_workers() as u64, ..sized };
    older.limit("upload_bytes_max", &mut limits, "upload_bytes");
    section.limits(&mut limits);
    if let Err(error) = server.check_uploads(limits.upload_bytes) {
        older.mistake("upload_memory_bytes_max", error.to_string());
    }
    limits
}

/// A key that is none makes the file a mistake, so that it opens nothing.
fn signing_keys(section: &Section<'_>) -> SigningKeys {
    let texts = section.texts("signing_keys");
    SigningKeys::parse(texts.iter().map(String::as_str)).unwrap_or_else(|wrong| {
        let problem = format!(
            "\"{}\" is no public key of minisign; put the second line of its .pub file here",
            clean(&wrong, LINE_BYTES)
        );
        section.mistake("signing_keys", problem);
        SigningKeys::default()
    })
}

/// Whom policies may ask, by policy.
fn http_hosts(section: &Section<'_>) -> BTreeMap<String, Vec<HttpHost>> {
    let listed = section.section("http_hosts").named_texts().into_iter();
    let hosts = listed.map(|(policy, entries)| {
        let read = |entry: &String| match HttpHost::parse(entry) {
            Ok(host) => Some(host),
            Err(problem) => {
                section.mistake("http_hosts", format!("{policy}: {problem}"));
                None
            }
        };
        let hosts = entries.iter().filter_map(read).collect();
        (policy, hosts)
    });
    hosts.collect()
}

fn pipeline(section: &Section<'_>) -> Option<Pipeline> {
    let pipeline = Pipeline::named(
        |hook| section.texts(hook.name()),
        |hook| section.text(hook.name()).map(str::to_owned),
    );
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

/// The modes that are written; `defaults` where none is.
fn failure_defaults(section: &Section<'_>, defaults: &PerHook<OnFailure>) -> PerHook<OnFailure> {
    PerHook::from_fn(|hook| {
        let default = defaults[hook].clone();
        let Some(text) = section.text(hook.name()) else { return default };
        mode(text).unwrap_or_else(|| {
            section.mistake(hook.name(), format!("\"{text}\" {MODES}"));
            default
        })
    })
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
    fn failure_modes_are_words() {
        let check = |text, expect| assert_eq!(mode(text), expect, "{text}");
        check("refuse", Some(OnFailure::Refuse));
        check("policy:guard", Some(OnFailure::Policy("guard".into())));
        check("policy:", None);
        check("retry", None);
    }
}
