//! Who may depend on whom. The crate walls keep candle away from policies and wasmtime away from
//! the engine; this is where they stand.

use std::collections::BTreeSet;

use crate::tree::{files, read};

/// Every crate of the host and the SDK, and the crates of ours it may use outside its tests. Examples
/// have a rule of their own; crates in `tests` may use all.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("host/confine", &[]),
    ("host/kernels", &[]),
    ("host/engine", &["signalbox-kernels", "signalbox-confine"]),
    ("host/policy", &["signalbox-confine"]),
    ("host/server", &["signalbox-engine", "signalbox-policy", "signalbox-confine"]),
    (
        "host/cli",
        &[
            "signalbox-confine",
            "signalbox-engine",
            "signalbox-policy",
            "signalbox-server",
            "signalbox-build",
        ],
    ),
    ("guest-sdk", &[]),
    ("guest-sdk/build", &[]),
];

/// An outside crate that changes what a room is about, and the only rooms that may use it.
const ONLY_IN: [(&str, &[&str]); 8] = [
    ("candle-core", &["host/engine"]),
    ("tokenizers", &["host/engine"]),
    ("wasmtime", &["host/policy"]),
    ("wasmtime-wasi", &["host/policy"]),
    ("wasmtime-wasi-http", &["host/policy"]),
    ("axum", &["host/server"]),
    ("hyper", &["host/server"]),
    ("anyhow", &["host/cli", "tests/e2e"]),
];

/// Names in the manifest's `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let table: toml::Table = manifest.parse().expect("a manifest is TOML");
    let section = table.get("dependencies").and_then(|d| d.as_table());
    section.map(|d| d.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn crates_look_down_only() {
    for (room, allowed) in MAY_USE {
        let ours: Vec<_> = dependencies(&read(&format!("{room}/Cargo.toml")))
            .into_iter()
            .filter(|name| name.starts_with("signalbox") && !allowed.contains(&name.as_str()))
            .collect();
        assert!(ours.is_empty(), "{room} may not depend on {ours:?}");
    }
}

#[test]
fn every_crate_has_its_place() {
    let known = |room: &str| MAY_USE.iter().any(|(known, _)| *known == room);
    let other = |room: &str| room.starts_with("examples/") || room.contains("tests/");
    let strange: Vec<_> = files("Cargo.toml")
        .into_iter()
        .map(|manifest| manifest.path.trim_end_matches("/Cargo.toml").to_owned())
        .filter(|room| !known(room) && !other(room))
        .collect();
    assert!(strange.is_empty(), "say in MAY_USE whom these may use: {strange:?}");
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    for manifest in files("Cargo.toml") {
        let room = manifest.path.trim_end_matches("/Cargo.toml");
        for name in dependencies(&manifest.text) {
            if let Some((_, rooms)) = ONLY_IN.iter().find(|(heavy, _)| *heavy == name) {
                assert!(rooms.contains(&room), "{room} may not depend on {name}");
            }
        }
    }
}

#[test]
fn examples_see_the_sdk_and_nothing_of_the_host() {
    for manifest in files("Cargo.toml").iter().filter(|m| m.path.starts_with("examples/")) {
        let ours = dependencies(&manifest.text);
        let strange: Vec<_> =
            ours.iter().filter(|n| n.starts_with("signalbox") && *n != "signalbox-sdk").collect();
        assert!(strange.is_empty(), "{} uses {strange:?}", manifest.path);
    }
}
