//! What documents say of the code: a test that is named there exists.

use std::collections::BTreeSet;

use crate::tree::{files, read};

/// Names in the last cell of a table's row: `` `a`, `b` ``.
fn named_tests(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.ends_with('|'));
    let last = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let names = last.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned));
    names.filter(|name| name.contains('_') && name.chars().all(is_of_a_name)).collect()
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

#[test]
fn every_test_that_security_md_names_exists() {
    let named = named_tests(&read("docs/security.md"));
    assert!(!named.is_empty(), "the document names no test: its tables moved, mend the rule");
    let sources: String = files(".rs").into_iter().map(|source| source.text).collect();
    let gone: Vec<_> =
        named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(gone.is_empty(), "docs/security.md names tests that are not there: {gone:?}");
}
