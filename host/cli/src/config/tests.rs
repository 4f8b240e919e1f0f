//! What a section hands out, and what it records.

use super::*;

/// Reads `a.text`, `a.number` and the list `b[]` with the key `flag`.
fn findings(text: &str) -> Findings {
    let (_, findings) = read(text, |root| {
        let a = root.section("a");
        a.text("text");
        a.integer("number", 1..=10_u32);
        for b in root.sections("b") {
            b.flag("flag");
        }
    });
    findings
}

fn mistakes(text: &str) -> Vec<String> {
    findings(text).mistakes.iter().map(ToString::to_string).collect()
}

fn check(text: &str, expect: &[&str]) {
    assert_eq!(mistakes(text), expect, "{text}");
}

/// A file that is used in spite of these.
fn check_warnings(text: &str, expect: &[&str]) {
    let found = findings(text);
    assert!(found.mistakes.is_empty(), "{text}: {:?}", found.mistakes);
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, expect, "{text}");
}

#[test]
fn comments_and_trailing_commas_are_json_enough() {
    check("// one\n{ \"a\": { \"number\": 3, /* two */ }, } // three", &[]);
    check("{ \"a\": null }", &[]);
}

#[test]
fn broken_json_is_named_by_line_and_column() {
    let found = mistakes("{\n  \"a\": {,}\n}");
    assert!(found.len() == 1 && found[0].starts_with("line 2: column 9: "), "{found:?}");
    check("[]", &["line 1: the file must hold one JSON object: { \"experts\": [...] }"]);
    assert_eq!(mistakes("{ 'a': {} }").len(), 1);
}

#[test]
fn every_mistake_is_named_with_its_path() {
    check(
        "{ \"a\": { \"text\": 1,\n \"number\": 11 },\n \"b\": [ { \"flag\": 0 }, 7 ] }",
        &[
            "line 1: a.text: must be a string",
            "line 2: a.number: must be a whole number from 1 to 10",
            "line 3: b[1]: must be an object: { ... }",
            "line 3: b[0].flag: must be true or false",
        ],
    );
}

#[test]
fn unknown_keys_get_the_nearest_name() {
    check_warnings(
        "{ \"a\": { \"numbr\": 1 }, \"b\": [ { \"flags\": true, \"zzzzzz\": 1 } ] }",
        &[
            "line 1: b[0].flags: there is no such key; did you mean `flag`?",
            "line 1: b[0].zzzzzz: there is no such key; there are flag",
            "line 1: a.numbr: there is no such key; did you mean `number`?",
        ],
    );
}

#[test]
fn a_key_is_given_once() {
    check_warnings(
        "{ \"a\": { \"number\": 1, \"number\": 2 } }",
        &["line 1: a.number: is given twice, and the last one counts"],
    );
    let (number, _) =
        read("{ \"number\": 1, \"number\": 2 }", |root| root.integer("number", 1..=9));
    assert_eq!(number, Some(Some(2)));
}

#[test]
fn numbers_are_whole_however_they_are_written() {
    for (text, expect) in
        [("4096", Some(4096)), ("4096.0", Some(4096)), ("4e3", Some(4000)), ("0.5", None)]
    {
        assert_eq!(whole(text), expect, "{text}");
    }
}

#[test]
fn patterns_have_no_positions() {
    assert_eq!(pattern("experts[12].a.b[0]"), "experts[].a.b[]");
}
