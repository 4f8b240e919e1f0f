//! The WIT contract and its prose change together: `wit/README.md` carries a fingerprint of the
//! `.wit` files, so nobody edits one without opening the other. And what was released stays: components
//! that are out there go on to run.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Source, files, read};

/// Where the text of the last released version is kept.
const RELEASED: &str = "wit/released/0.2.0/";
/// Whoever sees one of these sees all of it, so nothing can be added to it.
const CLOSED: [&str; 4] = ["record ", "variant ", "enum ", "flags "];

fn is_released(source: &Source) -> bool {
    source.path.starts_with("wit/released/")
}

/// 64-bit FNV-1a over the names and texts of all `.wit` files in force.
fn fingerprint() -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let in_force = |source: &Source| source.path.starts_with("wit/") && !is_released(source);
    for source in files(".wit").into_iter().filter(in_force) {
        for byte in source.path.bytes().chain(source.text.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[test]
fn the_prose_was_read_when_the_contract_changed() {
    let expected = format!("Contract fingerprint: `{}`", fingerprint());
    assert!(
        read("wit/README.md").contains(&expected),
        "the contract changed: read wit/README.md again, mend it, and let it end with\n{expected}"
    );
}

/// The functions that the contract's resources have, as JavaScript calls them.
fn functions_in_javascript() -> Vec<String> {
    let text = read("wit/types.wit");
    let names =
        text.lines().filter_map(|line| line.trim().split_once(": func(")).map(|(name, _)| name);
    let camel = |name: &str| {
        let mut words = name.split('-');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| format!("{name}{}{}", word[..1].to_uppercase(), &word[1..]))
    };
    names.map(camel).collect()
}

#[test]
fn the_types_for_javascript_have_every_function_of_the_contract() {
    let types = read("guest-sdk/js/signalbox.d.ts");
    let functions = functions_in_javascript();
    assert!(functions.len() > 40, "the contract is written differently now: mend the rule");
    let missing: Vec<_> =
        functions.iter().filter(|name| !types.contains(&format!("  {name}("))).collect();
    assert!(missing.is_empty(), "signalbox.d.ts lacks {missing:?}");
}

/// Every line that means something, by the blocks it stands in, with the version it is there since; fields and
/// cases have none.
fn items(text: &str) -> BTreeMap<String, String> {
    let (mut items, mut blocks, mut since) = (BTreeMap::new(), Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with("//") || line.starts_with("package ") {
            continue;
        }
        if let Some(version) = line.strip_prefix("@since(version = ") {
            since = version.trim_end_matches(')').to_owned();
        } else if line == "}" {
            blocks.pop();
        } else {
            let name = line.trim_end_matches('{').trim_end();
            let path: Vec<&str> = blocks.iter().copied().chain([name]).collect();
            items.insert(path.join(" > "), std::mem::take(&mut since));
            if line.ends_with('{') {
                blocks.push(name);
            }
        }
    }
    items
}

fn is_in_closed(path: &str) -> bool {
    path.rsplit_once(" > ").is_some_and(|(outer, _)| {
        let block = outer.rsplit(" > ").next().unwrap_or(outer);
        CLOSED.iter().any(|kind| block.starts_with(kind))
    })
}

/// What `new` takes from those who were built against `old`.
fn broken(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (items(old), items(new));
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    let gone = gone.map(|path| format!("gone or changed: {path}"));
    let added: BTreeSet<_> = new.keys().filter(|path| !old.contains_key(*path)).collect();
    let grown = added.iter().filter(|path| {
        let outer = path.rsplit_once(" > ").map_or("", |(outer, _)| outer);
        is_in_closed(path) && old.contains_key(outer)
    });
    let grown = grown.map(|path| format!("can't be added to what is closed: {path}"));
    let oldest = old.values().max().cloned().unwrap_or_default();
    let undated = added.iter().filter(|path| !is_in_closed(path) && new[**path] <= oldest);
    let undated = undated.map(|path| format!("lacks the version it is there since: {path}"));
    gone.chain(grown).chain(undated).collect()
}

#[test]
fn what_was_released_stays() {
    let mut compared = 0;
    for old in files(".wit").into_iter().filter(|source| source.path.starts_with(RELEASED)) {
        let name = &old.path[RELEASED.len()..];
        assert_eq!(broken(&old.text, &read(&format!("wit/{name}"))), [""; 0], "{name}");
        compared += 1;
    }
    assert!(compared >= 4, "{RELEASED} has {compared} files");
}

#[test]
fn a_change_that_breaks_is_found() {
    let old = "interface i {\n@since(version = 0.2.0)\nrecord r {\na: u8,\n}\n\
               @since(version = 0.2.0)\nf: func();\n}";
    let check = |from: &str, to: &str, expect: usize| {
        assert_eq!(broken(old, &old.replace(from, to)).len(), expect, "{to}");
    };
    check("", "", 0);
    check("a: u8,", "/// Said better.\na: u8,", 0);
    check("f: func();", "f: func(a: u8);", 2); // one gone, one without a version
    check("a: u8,", "a: u8,\nb: u8,", 1);
    check("a: u8,", "a: u16,", 2);
    check("}\n@since", "}\n@since(version = 0.2.1)\ng: func();\n@since", 0);
    check("}\n@since", "}\n@since(version = 0.2.0)\ng: func();\n@since", 1);
}

#[test]
fn everything_in_the_contract_says_what_it_is_and_since_when() {
    for source in files(".wit") {
        let own = source.path.starts_with("wit/") && !source.path.starts_with("wit/deps/");
        if !own {
            continue;
        }
        let mut before = "";
        for line in source.text.lines().map(str::trim) {
            let item = !line.is_empty() && !line.starts_with("//") && !line.starts_with("package");
            let plain = ["}", "@", "use ", "import ", "export ", "include "];
            if item && !plain.iter().any(|start| line.starts_with(start)) {
                assert!(before.starts_with("///"), "{}: '{line}' has no comment", source.path);
            }
            if !line.starts_with('@') {
                before = line;
            }
        }
        for (path, since) in items(&source.text) {
            assert!(is_in_closed(&path) || !since.is_empty(), "{}: {path}", source.path);
        }
    }
}
