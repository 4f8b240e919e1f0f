//! The table of limits in the README is what the code declares. Run with `WRITE_DOCUMENTS=1` in the
//! environment, this test writes it.

use std::{fs, path::Path};

use signalbox_confine::{Bounded, Limit};
use signalbox_engine::{FleetLimits, TemplateLimits};
use signalbox_policy::{BreakerSettings, CanarySettings, Limits};
use signalbox_server::{DecisionLogLimits, ImagesLimits, ServerLimits};

const BEGIN: &str = "<!-- limits: written by the test `the_readme_lists_every_limit` -->\n";
const END: &str = "<!-- end of limits -->";

/// Thousands are set apart; bytes are said in the largest unit that divides them.
fn shown(value: u64, unit: &str) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let divides = |bits: u32| value > 0 && value.trailing_zeros() >= bits;
    match units.iter().find(|(bits, _)| divides(*bits)).filter(|_| unit == "bytes") {
        Some((bits, name)) => format!("{} {name}", value >> bits),
        None => {
            let digits = value.to_string();
            let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
            groups.collect::<Vec<_>>().join(",")
        }
    }
}

fn row(limit: &Limit) -> String {
    let (low, high) = (shown(*limit.bounds.start(), limit.unit), *limit.bounds.end());
    let plain = !shown(limit.default, limit.unit).ends_with('B');
    let unit = if plain { format!(" {}", limit.unit) } else { String::new() };
    format!(
        "| `{}` | {}{unit} | {low} to {} | {} |\n",
        limit.key.unwrap_or_default(),
        shown(limit.default, limit.unit),
        shown(high, limit.unit),
        limit.sentence()
    )
}

fn table() -> String {
    let all = [
        ServerLimits::ALL,
        DecisionLogLimits::ALL,
        FleetLimits::ALL,
        TemplateLimits::ALL,
        ImagesLimits::ALL,
        Limits::ALL,
        BreakerSettings::ALL,
        CanarySettings::ALL,
    ];
    let rows: String = all.iter().flat_map(|limits| limits.iter()).map(row).collect();
    format!("| limit | default | bounds | |\n|---|---|---|---|\n{rows}")
}

#[test]
fn the_readme_lists_every_limit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let expected = table();
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, expected, "run this test once with WRITE_DOCUMENTS=1 in the environment");
}
