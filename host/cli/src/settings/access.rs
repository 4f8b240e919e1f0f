//! `access`: who may use the data plane. Keys are hashed as soon as they are read.

use std::{
    collections::BTreeSet,
    net::{IpAddr, ToSocketAddrs},
};

use signalbox_engine::Priority;
use signalbox_server::{Access, AccessError, Allowance, Key, KeyError};

use super::{Address, Environment};
use crate::config::Section;

pub(super) fn read(section: &Section<'_>, environment: Environment<'_>) -> Access {
    let keys = section.sections("keys");
    let access = Access {
        keys: keys.iter().filter_map(|entry| key(entry, environment)).collect(),
        origins: section.texts("origins"),
        hosts: section.texts("hosts"),
        headers: section.texts("headers"),
        open: section.flag("open").unwrap_or(false),
    };
    if let Err(error) = access.check() {
        section.mistake(
            match error {
                AccessError::Keys(_) => "keys",
                AccessError::Origins(_) => "origins",
                AccessError::Hosts(_) => "hosts",
                AccessError::Headers(_) => "headers",
                AccessError::Open => "open",
            },
            error.to_string(),
        );
    }
    access
}

/// One entry of `access.keys`: a name, and the key in exactly one of three ways.
fn key(entry: &Section<'_>, environment: Environment<'_>) -> Option<Key> {
    let name = entry.text("name");
    let (key, variable, sha256) = (entry.text("key"), entry.text("key_env"), entry.text("sha256"));
    let Some(name) = name else {
        entry.mistake("name", "is missing; callers are distinguished by it");
        return None;
    };
    let (place, made) = match (key, variable, sha256) {
        (Some(key), None, None) => ("key", Key::new(name, key)),
        (None, Some(variable), None) => match environment(variable) {
            Some(key) => ("key_env", Key::new(name, &key)),
            None => {
                entry.mistake("key_env", format!("the environment has no variable {variable}"));
                return None;
            }
        },
        (None, None, Some(sha256)) => ("sha256", Key::hashed(name, sha256)),
        _ => {
            entry.mistake("", "must have exactly one of `key`, `key_env` and `sha256`");
            return None;
        }
    };
    let place = if made == Err(KeyError::Name) { "name" } else { place };
    let made = made.map_err(|error| entry.mistake(place, error.to_string())).ok()?;
    Some(made.allowing(allowance(entry)))
}

/// What a key opens.
fn allowance(entry: &Section<'_>) -> Allowance {
    let classes: Vec<_> = Priority::NAMES.into_iter().zip(Priority::ALL).collect();
    Allowance {
        experts: entry.texts("experts"),
        requests_per_minute: entry.integer("requests_per_minute", 1..=Allowance::REQUESTS_MAX),
        tokens_per_minute: entry.integer("tokens_per_minute", 1..=Allowance::TOKENS_MAX),
        concurrent_calls: entry.integer("concurrent_calls", 1..=Allowance::CALLS_MAX),
        priority: entry.choice("priority", &classes).unwrap_or_default(),
    }
}

/// Names of experts that keys open and that are not there, each with the name of the key.
pub(super) fn unknown_experts<'a>(
    access: &'a Access,
    ids: &BTreeSet<&str>,
) -> Vec<(&'a str, &'a str)> {
    let opened = access
        .keys
        .iter()
        .flat_map(|key| key.allowance().experts.iter().map(|expert| (key.name(), expert.as_str())));
    opened.filter(|(_, expert)| !ids.contains(expert)).collect()
}

/// Why a data plane must not listen on `ip` with this `access`, and what mends it.
pub(crate) fn exposed(address: &Address, ip: IpAddr, access: &Access) -> Option<String> {
    if ip.to_canonical().is_loopback() || access.open || !access.keys.is_empty() {
        return None;
    }
    Some(format!(
        "clients would come in on {address}, which is open to other machines, and no keys are \
         configured. Give clients keys: \"access\": {{\"keys\": [{{\"name\": \"app\", \"key_env\": \
         \"APP_KEY\"}}]}}; or serve this machine only: --host 127.0.0.1; or say that everybody may \
         use it: \"access\": {{\"open\": true}}"
    ))
}

/// The same before anything listens. A name that nobody knows can't be listened on either.
pub(crate) fn would_be_exposed(address: &Address, access: &Access) -> Option<String> {
    let found = (address.host.as_str(), address.port).to_socket_addrs().ok()?;
    found.into_iter().find_map(|socket| exposed(address, socket.ip(), access))
}
