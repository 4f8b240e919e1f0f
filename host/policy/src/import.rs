//! What the host lends to policies while they run: one file per interface, and the names of them
//! all.

mod annotations;
mod config;
mod decide;
mod edits;
mod embeddings;
mod ending;
mod experts;
pub(crate) mod http;
mod inference;
mod keyvalue;
mod log;
mod outcomes;
mod parameters;
mod request;
pub(crate) mod shown;
mod tokens;

use semver::Version;

/// Everything a component may import, by interface. Any compatible version will do.
pub(crate) const OFFERED: [&str; 20] = [
    "signalbox:policy/types@0.2.3",
    "signalbox:policy/experts@0.2.3",
    "signalbox:policy/tokens@0.2.3",
    "signalbox:policy/annotations@0.2.3",
    "signalbox:policy/embeddings@0.2.3",
    "signalbox:policy/inference@0.2.3",
    "signalbox:policy/decide@0.2.3",
    "signalbox:policy/outcomes@0.2.3",
    "wasi:logging/logging@0.1.0-draft",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:http/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:cli/*@0.2.12",
    "wasi:io/*@0.2.12",
    "wasi:clocks/*@0.2.12",
    "wasi:random/*@0.2.12",
    "wasi:filesystem/*@0.2.12",
    "wasi:sockets/*@0.2.12",
];

/// WASI packages that come with a language's runtime; no file, socket or variable is behind them.
const PLAIN_WASI: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
/// What a policy keeps from one call to the next.
const KEYVALUE: &str = "wasi:keyvalue/store@";
/// Shapes of values.
const SHAPES: [&str; 2] = ["signalbox:policy/types@", "signalbox:policy/outcomes@"];

/// Whether `import` is of WASI and nothing is behind it: every component in its language has it.
pub fn is_plain_wasi(import: &str) -> bool {
    PLAIN_WASI.iter().any(|package| import.starts_with(package))
}

/// Whether one of `imports` lets a policy keep something.
pub(crate) fn keeps(imports: &[String]) -> bool {
    imports.iter().any(|import| import.starts_with(KEYVALUE))
}

/// What `now` may do and `before` may not: imports with something behind them. Another version of an
/// interface is no other interface.
pub(crate) fn gained(now: &[String], before: &[String]) -> Vec<String> {
    let interface = |import: &str| import.split('@').next().unwrap_or_default().to_owned();
    let known = |import: &str| before.iter().any(|had| interface(had) == interface(import));
    let plain = |import: &str| {
        is_plain_wasi(import) || SHAPES.iter().any(|shapes| import.starts_with(shapes))
    };
    now.iter().filter(|import| !plain(import) && !known(import)).cloned().collect()
}

/// Whether `import` is offered under this name or a compatible version of it.
pub(crate) fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|offered| fits(offered, import))
}

/// Whether `name` is `pattern`, whose interface may be `*`, at a compatible version.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (Some((wanted, wanted_version)), Some((path, version))) =
        (pattern.split_once('@'), name.split_once('@'))
    else {
        return pattern == name;
    };
    let same = match wanted.strip_suffix('*') {
        Some(package) => path.starts_with(package),
        None => wanted == path,
    };
    same && are_compatible(wanted_version, version)
}

/// Same major, or the same minor below 1.0. A pre-release is compatible with itself only.
fn are_compatible(offered: &str, asked: &str) -> bool {
    let (Ok(a), Ok(b)) = (Version::parse(offered), Version::parse(asked)) else {
        return offered == asked;
    };
    if !a.pre.is_empty() || !b.pre.is_empty() {
        return a == b;
    }
    a.major == b.major && (a.major > 0 || a.minor == b.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatible_versions_are_offered_and_others_are_not() {
        let check = |import, expect| assert_eq!(is_offered(import), expect, "{import}");
        check("signalbox:policy/types@0.2.0", true);
        check("signalbox:policy/types@0.2.7", true);
        check("signalbox:policy/types@0.1.0", false);
        check("signalbox:policy/inference@0.2.3", true);
        check("signalbox:policy/images@0.2.3", false);
        check("wasi:keyvalue/store@0.2.0-draft2", true);
        check("wasi:keyvalue/store@0.2.0-draft", false);
        check("wasi:keyvalue/batch@0.2.0-draft2", false);
        check("wasi:logging/logging@0.1.0-draft", true);
        check("wasi:logging/logging@0.1.0", false);
        check("wasi:cli/stderr@0.2.6", true);
        check("wasi:cli/stderr@0.3.0", false);
        check("wasi:http/outgoing-handler@0.2.4", true);
        check("wasi:http/incoming-handler@0.2.4", false);
        check("wasi:http/types@0.3.0", false);
        check("env", false);
    }

    #[test]
    fn gained_is_what_has_something_behind_it_and_was_not_there() {
        let check = |now: &[&str], before: &[&str], expect: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
            let (now, before): (Vec<String>, Vec<String>) = (owned(now), owned(before));
            assert_eq!(gained(&now, &before), expect, "{now:?} after {before:?}");
        };
        let (tokens, experts) = ("signalbox:policy/tokens@0.2.0", "signalbox:policy/experts@0.2.0");
        check(&[tokens], &[], &[tokens]);
        check(&[tokens, experts], &[tokens], &[experts]);
        check(&[tokens], &[tokens, experts], &[]);
        check(&["signalbox:policy/tokens@0.2.3"], &[tokens], &[]);
        let keyvalue = "wasi:keyvalue/store@0.2.0-draft2";
        check(&[keyvalue, tokens], &[tokens], &[keyvalue]);
        let http = "wasi:http/outgoing-handler@0.2.4";
        check(&[http], &["wasi:http/types@0.2.4"], &[http]);
        let inference = "signalbox:policy/inference@0.2.3";
        check(&[inference, tokens], &[tokens], &[inference]);
        let outcomes = "signalbox:policy/outcomes@0.2.3";
        check(&["signalbox:policy/types@0.2.0", outcomes, "wasi:cli/stdout@0.2.6"], &[], &[]);
    }
}
