//! Other settings for policies in force: their configuration, failure modes and limits hold for calls that are let in
//! from then on. A policy whose settings are the same keeps its seat, with all that its circuit breaker has seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use signalbox_confine::Bounded;

use super::{Policies, Rules, Staged};
use crate::{Hook, Limits, PolicyError, PolicySettings};

impl Policies {
    /// Puts settings in force, and with them what was staged by them, all of it or nothing. Says which keys of the
    /// configuration changed by the settings. The folder, where components are compiled, and limits that
    /// [are fixed](Limits::is_fixed) stay as they are. A canary keeps the bounds that it began with. One at a time.
    ///
    /// # Errors
    /// Limits out of bounds, or as [`Policies::put_in_force`]; nothing is changed then.
    pub fn renew(
        &self,
        wanted: PolicySettings,
        staged: &Staged,
    ) -> Result<Vec<String>, PolicyError> {
        wanted.check()?;
        let rules = &self.0.rules;
        let in_force = rules.load_full();
        let before = &in_force.settings;
        let (limits, changed) =
            before.limits.renewed(&wanted.limits, |limit| !Limits::is_fixed(limit));
        let renewed = PolicySettings {
            data_dir: before.data_dir.clone(),
            compile: before.compile.clone(),
            limits,
            ..wanted
        };
        let mut keys: Vec<String> =
            changed.iter().filter_map(|limit| limit.key.map(str::to_owned)).collect();
        keys.extend(differences(before, &renewed));
        let keeps = |name: &str| !concerns(name, before, &renewed);
        let put = || rules.store(Arc::new(Rules::new(renewed.clone())));
        let done = self.in_force_with(staged, &keeps, put);
        if done.is_err() {
            rules.store(in_force.clone());
        }
        done.map(|()| keys)
    }
}

/// Keys that say something else, limits left out.
fn differences(before: &PolicySettings, after: &PolicySettings) -> Vec<String> {
    let configured = differing("policies.settings", &before.settings, &after.settings);
    let hosts = differing("policies.http_hosts", &before.http_hosts, &after.http_hosts);
    let modes = differing("policies.on_failure", &before.on_failure, &after.on_failure);
    let sections = [
        ("policies.signing_keys", before.signing_keys != after.signing_keys),
        ("policies.failure_defaults", before.failure_defaults != after.failure_defaults),
        ("policies.breaker", before.breaker != after.breaker),
        ("policies.canary", before.canary != after.canary),
    ];
    let sections = sections.into_iter().filter(|(_, differs)| *differs);
    configured.chain(hosts).chain(modes).chain(sections.map(|(key, _)| key.to_owned())).collect()
}

/// What a section says of some policies and not of the same ones in the same words.
fn differing<'a, V: PartialEq>(
    section: &'a str,
    before: &'a BTreeMap<String, V>,
    after: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differ.map(move |name| format!("{section}.{name}"))
}

/// Whether what a policy of this name is lent, or what a call meets when it fails, differs.
fn concerns(name: &str, before: &PolicySettings, after: &PolicySettings) -> bool {
    let all = |settings: &PolicySettings| {
        (settings.limits.clone(), settings.bounds.clone(), settings.breaker.clone())
    };
    all(before) != all(after)
        || before.settings.get(name) != after.settings.get(name)
        || before.http_hosts.get(name) != after.http_hosts.get(name)
        || Hook::ALL
            .iter()
            .any(|hook| before.on_failure(name, *hook) != after.on_failure(name, *hook))
}
