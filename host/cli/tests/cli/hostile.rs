//! Chat templates that were written to end the host: each costs its own expert, at most, and bounded
//! memory and time. All of them stand in one configuration, whose last expert is sound.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::{Value, json};

use crate::broken::{signalbox, toy};

/// What becomes of an expert with such a template.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It is out of bounds, and the expert can't be served.
    Unbounded,
    /// It is no template, and the expert is served without chat.
    Broken,
    /// It is odd, but cheap.
    Served,
}
use Fate::{Broken, Served, Unbounded};

const TEMPLATES: &[(&str, &str, Fate)] = &[
    ("self", "{% set ns=namespace(d=1) %}{% set ns.d=ns %}{{ ns }}", Unbounded),
    ("self-json", "{% set ns=namespace(d=1) %}{% set ns.d=ns %}{{ ns|tojson }}", Unbounded),
    ("self-pprint", "{% set ns=namespace(d=1) %}{% set ns.d=[ns] %}{{ ns|pprint }}", Unbounded),
    (
        "self-string",
        "{% set ns=namespace(d=1) %}{% set ns.d=ns %}{{ ns|string|length }}",
        Unbounded,
    ),
    (
        "nest",
        concat!(
            "{% set ns=namespace(d=[]) %}{% for i in range(90000) %}{% set ns.d=[ns.d] %}",
            "{% endfor %}{{ ns.d }}"
        ),
        Unbounded,
    ),
    (
        "nest-json",
        concat!(
            "{% set ns=namespace(d=[]) %}{% for i in range(90000) %}{% set ns.d=[ns.d] %}",
            "{% endfor %}{{ ns.d|tojson }}"
        ),
        Unbounded,
    ),
    (
        "nest-equal",
        concat!(
            "{% set ns=namespace(d=[],e=[]) %}{% for i in range(90000) %}{% set ns.d=[ns.d] %}",
            "{% set ns.e=[ns.e] %}{% endfor %}{{ ns.d==ns.e }}"
        ),
        Unbounded,
    ),
    (
        "double",
        concat!(
            "{% set ns=namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}",
            "{% set ns.s=ns.s+ns.s %}{% endfor %}{{ ns.s|length }}"
        ),
        Unbounded,
    ),
    (
        "double-tilde",
        concat!(
            "{% set ns=namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}",
            "{% set ns.s=ns.s ~ ns.s %}{% endfor %}{{ ns.s|length }}"
        ),
        Unbounded,
    ),
    (
        "double-replace",
        concat!(
            "{% set ns=namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}",
            "{% set ns.s=ns.s|replace('a','aaaaaaaaaaaaaaaa') %}{% endfor %}{{ ns.s|length }}"
        ),
        Unbounded,
    ),
    (
        "double-join",
        concat!(
            "{% set ns=namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}",
            "{% set ns.s=[ns.s,ns.s]|join('-') %}{% endfor %}{{ ns.s|length }}"
        ),
        Unbounded,
    ),
    (
        "double-list",
        concat!(
            "{% set ns=namespace(s=[1,2]) %}{% for i in range(60) %}{% set ns.s=ns.s+ns.s %}",
            "{% endfor %}{{ ns.s|list|length }}"
        ),
        Unbounded,
    ),
    (
        "double-macro",
        concat!(
            "{% macro d(s) %}{{ s }}{{ s }}{% endmacro %}{% set ns=namespace(s='aaaaaaaa') %}",
            "{% for i in range(60) %}{% set ns.s=d(ns.s) %}{% endfor %}{{ ns.s|length }}"
        ),
        Unbounded,
    ),
    (
        "double-block",
        concat!(
            "{% set ns=namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set t %}{{ ns.s }}",
            "{{ ns.s }}{% endset %}{% set ns.s=t %}{% endfor %}{{ ns.s|length }}"
        ),
        Unbounded,
    ),
    ("width", "{{ '%1000000000d'|format(1) }}", Unbounded),
    ("width-string", "{{ '%-2000000000s'|format('x') }}", Unbounded),
    ("indent", "{{ 'a\nb'|indent(1000000000) }}", Unbounded),
    ("batch", "{{ range(10)|batch(1000000000,'x')|list }}", Unbounded),
    ("slice", "{{ range(10)|slice(1000000000)|list|length }}", Unbounded),
    ("split", "{{ ('a,'*10000000).split(',')|length }}", Unbounded),
    ("times", "{{ 'a'*4000000000 }}", Broken),
    ("times-list", "{{ ([1]*2000000000)|list|length }}", Unbounded),
    ("center", "{{ 'a'|center(4000000000) }}", Broken),
    ("output", "{% for a in range(99) %}{{ 'x' * 9000000 }}{% endfor %}", Unbounded),
    (
        "range-sort",
        "{% for i in range(99999) %}{{ range(99999)|sort|list|length }}{% endfor %}",
        Unbounded,
    ),
    (
        "unique",
        "{% for i in range(9999) %}{{ range(99999)|unique|list|length }}{% endfor %}",
        Unbounded,
    ),
    (
        "groupby",
        "{% for i in range(9999) %}{{ range(9999)|groupby('x')|length }}{% endfor %}",
        Unbounded,
    ),
    (
        "fuel",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}",
        Unbounded,
    ),
    ("macros", "{% macro m(n) %}{{ m(n+1) }}{% endmacro %}{{ m(0) }}", Broken),
    ("range", "{{ range(1000000000000)|list|length }}", Broken),
    ("syntax", "{% for m in messages %}{{ m.content }", Broken),
    ("raises", "{{ raise_exception('never\n2026 INFO forged') }}", Served),
];

/// Sources that nest deeper than a stack, made here because they are long.
fn deep() -> Vec<(&'static str, String, Fate)> {
    let nested = |open: &str, close: &str| {
        format!("{{{{ {}1{} }}}}", open.repeat(100_000), close.repeat(100_000))
    };
    let blocks = "{% if true %}".repeat(20_000) + &"{% endif %}".repeat(20_000);
    vec![
        ("parentheses", nested("(", ")"), Broken),
        ("lists", nested("[", "]"), Broken),
        ("nots", nested("not ", ""), Unbounded),
        ("minuses", nested("-", ""), Unbounded),
        ("filters", nested("", "|string"), Unbounded),
        ("sums", nested("", "+1"), Unbounded),
        ("blocks", blocks, Broken),
    ]
}

/// A checkpoint that is sound but for its template.
fn checkpoint(folder: &Path, template: &str) {
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(toy("phi4_fast").canonicalize().unwrap()).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    fs::write(folder.join("chat_template.jinja"), template).unwrap();
}

fn fate(expert: &Value) -> Fate {
    let codes: Vec<_> = expert["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap())
        .collect();
    match codes {
        codes if codes.contains(&"chat-template-unbounded") => Unbounded,
        codes if codes.contains(&"chat-template-broken") => Broken,
        _ => Served,
    }
}

#[test]
fn a_hostile_template_costs_its_own_expert_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let mut templates: Vec<(&str, String, Fate)> =
        TEMPLATES.iter().map(|(name, text, fate)| (*name, (*text).to_owned(), *fate)).collect();
    templates.extend(deep());
    templates.push(("sound", "{% for m in messages %}{{ m.content }}{% endfor %}".into(), Served));
    for (name, text, _) in &templates {
        checkpoint(&folder.path().join(name), text);
    }
    let experts: Vec<_> =
        templates.iter().map(|(name, ..)| json!({"expert_id": name, "model_path": name})).collect();
    let config = folder.path().join("host.json");
    fs::write(&config, json!({ "experts": experts }).to_string()).unwrap();
    let output = signalbox(&["check", "--json", "--config", config.to_str().unwrap()]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for ((name, _, expect), expert) in templates.iter().zip(report["experts"].as_array().unwrap()) {
        let (ok, is) = (expert["ok"] == true, fate(expert));
        if is != *expect || ok != (is != Unbounded) {
            wrong.push(format!("{name}: {is:?} and not {expect:?}: {}", expert["findings"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
