//! What the documents promise is what a host says of itself: every bound of `/stats` stands in
//! `docs/security.md`, with its default, and the dashboard shows series that there are.

use std::collections::BTreeSet;

use serde_json::Value;

use ::guests::request_for;

use crate::host::{Host, misbehaving_component};

/// The rows of the document's tables: cells, without the marks of code.
fn rows() -> Vec<Vec<String>> {
    let document = include_str!("../../../docs/security.md");
    let lines = document.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let inner = line.trim().trim_matches('|');
        inner.split(" | ").map(|cell| cell.trim().replace('`', "")).collect()
    };
    lines.map(cells).collect()
}

/// Digits are grouped by narrow spaces or commas for people.
fn number(cell: &str) -> String {
    cell.chars().filter(char::is_ascii_digit).collect()
}

#[test]
fn every_bound_stands_in_the_document_with_its_default() {
    let stats = Host::start().get("/stats").ok();
    let limits = stats["limits"].as_object().unwrap();
    let rows = rows();
    let message = |name: &str, value: &Value| {
        let row = rows.iter().find(|row| row[0] == name);
        row.is_some_and(|row| {
            let default = number(&row[1]);
            // A default that depends on the machine is described in words.
            default.is_empty() || default.parse().ok() == value["value"].as_u64()
        })
    };
    let missing: Vec<String> = limits
        .iter()
        .filter(|(name, value)| !message(name, value))
        .map(|(name, value)| format!("{name} = {} {}", value["value"], value["unit"]))
        .collect();
    assert!(missing.is_empty(), "docs/security.md lacks or misstates:\n  {}", missing.join("\n  "));
    let gone: Vec<&String> =
        rows.iter().map(|row| &row[0]).filter(|name| !limits.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/security.md has bounds that /stats does not know: {gone:?}");
}

/// The names of series in a text.
fn series(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c)).filter(|word| word.starts_with("signalbox_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word)).collect()
}

#[test]
fn the_dashboard_shows_series_that_there_are() {
    let host = Host::start();
    host.deploy("misbehaving", &misbehaving_component());
    host.chat("phi4_fast", "Hello!").ok();
    host.chat("phi4_fast", &request_for("pre", "trap"));
    let metrics = host.get("/metrics").text;
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let shown = series(include_str!("../../../docs/grafana/signalbox.json"));
    assert!(shown.len() > 15, "{shown:?}");
    let missing: Vec<_> = shown.difference(&there).collect();
    assert!(missing.is_empty(), "no such series: {missing:?}");
}
