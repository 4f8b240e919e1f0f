//! Files of a crate look down only: no file uses, over others or at once, a file that uses it.
//!
//! A path is followed to the file that defines its last name, through re-exports: a re-export by
//! itself is no use. A parent that uses its child while the child uses what the parent defines is a
//! circle as well. Code for tests alone does not count, and methods are not seen.

mod modules;

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::files;
use modules::{Modules, Uses};

/// Files that reach each other, largest circles first.
fn circles(uses: &Uses) -> Vec<BTreeSet<usize>> {
    let reach: BTreeMap<usize, BTreeSet<usize>> =
        uses.keys().map(|&from| (from, reachable(uses, from))).collect();
    let mut found: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
    for (&file, below) in &reach {
        let mates = below.iter().filter(|mate| reach.get(mate).is_some_and(|r| r.contains(&file)));
        let circle: BTreeSet<usize> = mates.copied().collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable(uses: &Uses, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        let next = uses.get(&file).into_iter().flat_map(BTreeMap::keys);
        open.extend(next.filter(|file| reached.insert(**file)).copied());
    }
    reached
}

/// A circle in words: who takes what from whom.
fn describe(modules: &Modules, uses: &Uses, circle: &BTreeSet<usize>) -> String {
    let mut lines = vec![format!("a circle of {} files:", circle.len())];
    for from in circle {
        for (to, names) in uses[from].iter().filter(|(to, _)| circle.contains(to)) {
            let names = names.iter().cloned().collect::<Vec<_>>().join(", ");
            lines.push(format!("  {} -> {}: {names}", modules.file(*from), modules.file(*to)));
        }
    }
    lines.join("\n")
}

/// Roots of the crates: a library's, or a program's that has none.
fn roots() -> Vec<String> {
    let all: BTreeSet<String> = files(".rs").into_iter().map(|source| source.path).collect();
    let is_root = |path: &String| match path.strip_suffix("src/main.rs") {
        Some(folder) => !all.contains(&format!("{folder}src/lib.rs")),
        None => path.ends_with("/src/lib.rs"),
    };
    all.iter().filter(|path| is_root(path)).cloned().collect()
}

#[test]
fn no_crate_has_a_circle_of_files() {
    let roots = roots();
    assert!(roots.len() > 8, "the crates moved, mend the rule: {roots:?}");
    let mut found = Vec::new();
    for root in roots {
        let modules = Modules::read(&root);
        let uses = modules.uses();
        found.extend(circles(&uses).iter().map(|circle| describe(&modules, &uses, circle)));
    }
    assert!(found.is_empty(), "move what both need below them:\n{}", found.join("\n"));
}

#[test]
fn circles_are_seen_through_re_exports_and_macros() {
    let check = |files: &[(&str, &str)], expect: &[&[&str]]| {
        let modules = Modules::of(files);
        let found: Vec<Vec<&str>> = circles(&modules.uses())
            .iter()
            .map(|circle| circle.iter().map(|file| modules.file(*file)).collect())
            .collect();
        assert_eq!(found, expect, "{files:?}");
    };
    let parent_child = [("lib.rs", "mod a; struct S; use a::f;"), ("a.rs", "use crate::S;")];
    check(&parent_child, &[&["lib.rs", "a.rs"]]);
    check(&[("lib.rs", "mod a; pub use a::S;"), ("a.rs", "pub struct S; use crate::S as T;")], &[]);
    let through = [
        ("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
        ("a.rs", "pub struct A; fn f() { println!(\"{}\", crate::B::new()) }"),
        ("b.rs", "pub struct B; use super::A;"),
    ];
    check(&through, &[&["a.rs", "b.rs"]]);
    let by_module = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b; pub fn f() { b::g() }"),
        ("b.rs", "pub fn g() {} #[cfg(test)] mod tests { use crate::a; }"),
    ];
    check(&by_module, &[]);
}
