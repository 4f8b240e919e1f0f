//! Bodies as strangers make them, field by field.

use super::*;

const NAMES: Names = &[&["a", "t", "n"]];

fn fields(body: &str) -> Fields<'_> {
    Fields::parse(body.as_bytes(), NAMES).unwrap()
}

fn refused(body: &[u8]) -> String {
    let error = Fields::parse(body, NAMES).unwrap_err();
    assert_eq!(error.code(), "invalid_json");
    format!("{error:?}")
}

#[test]
fn a_body_that_is_not_json_is_refused_with_the_place() {
    let message = refused(b"{\"a\": 1,\n oops}");
    assert!(message.contains("line 2 column 2"), "{message}");
    for body in ["[1]", "", "7", "{} {}", "{\"a\": [1}", "{\"b\": [1}", "{\"a\": 01}"] {
        refused(body.as_bytes());
    }
    assert!(refused(b"{\"a\": \"\xff\"}").contains("UTF-8"));
}

#[test]
fn nesting_is_bounded_in_what_nobody_reads_too() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"unknown\": {open}\"[[\\\"[\"{close}}}")
    };
    assert!(Fields::parse(nested(NESTING_MAX).as_bytes(), NAMES).is_ok());
    assert!(refused(nested(NESTING_MAX + 1).as_bytes()).contains("deeper than 64"));
    assert!(refused("[".repeat(1 << 20).as_bytes()).contains("deeper than 64"));
}

#[test]
fn only_known_fields_are_kept_and_the_last_of_two_counts() {
    let mut read = fields(r#"{"x": [[0]], "a": 1, "y": {}, "\u0061": 2, "": null}"#);
    assert_eq!(read.values.len(), 1);
    assert_eq!(read.unknown(), ["x", "y", ""]);
    assert_eq!(read.read::<u32>("a").unwrap(), Some(2));
}

#[test]
fn null_is_the_same_as_absent() {
    assert_eq!(fields(r#"{"a": null}"#).read::<u32>("a").unwrap(), None);
    assert_eq!(fields(r"{}").need("a").unwrap_err().code(), "missing_parameter");
}

#[test]
fn numbers_are_bounded_and_named() {
    let number = |body: &str| fields(body).number("t", 0.0, 2.0);
    assert_eq!(number(r#"{"t": 2}"#).unwrap(), Some(2.0));
    for body in [r#"{"t": 2.1}"#, r#"{"t": -0.1}"#, r#"{"t": "hot"}"#, r#"{"t": 1e400}"#] {
        assert_eq!(number(body).unwrap_err().code(), "invalid_value", "{body}");
    }
    let count = |body: &str| fields(body).count("n", 1, 9);
    assert_eq!(count(r#"{"n": 9}"#).unwrap(), Some(9));
    assert_eq!(count(r#"{"n": 9.0}"#).unwrap(), Some(9));
    assert_eq!(fields(r#"{"n": -1.0}"#).count_or_all("n", (1, 9), 5).unwrap(), Some(5));
    assert_eq!(
        fields(r#"{"n": -2}"#).count_or_all("n", (1, 9), 5).unwrap_err().code(),
        "invalid_value"
    );
    for body in [r#"{"n": 0}"#, r#"{"n": -1}"#, r#"{"n": 1.5}"#, r#"{"n": 99999999999}"#] {
        assert_eq!(count(body).unwrap_err().code(), "invalid_value", "{body}");
    }
}

#[test]
fn types_are_called_what_people_call_them() {
    let said = |error: ApiError| format!("{error:?}");
    let hot = said(fields(r#"{"t": "hot"}"#).number("t", 0.0, 2.0).unwrap_err());
    assert!(hot.contains("expected a number") && !hot.contains("f64"), "{hot}");
    let flag = said(fields(r#"{"a": 1}"#).read::<bool>("a").unwrap_err());
    assert!(flag.contains("expected true or false"), "{flag}");
}

#[test]
fn a_problem_repeats_little_of_a_value() {
    let body = format!("{{\"t\": \"{}\"}}", "x".repeat(1 << 20));
    let message = format!("{:?}", fields(&body).number("t", 0.0, 2.0).unwrap_err());
    assert!(message.len() < 1000 && !message.contains("line 1"), "{message}");
}

#[test]
fn texts_lists_and_emptiness() {
    let raw = |text: &'static str| serde_json::from_str::<&RawValue>(text).unwrap();
    assert_eq!(text(raw(r#" "plain" "#)).as_deref(), Some("plain"));
    assert_eq!(text(raw(r#""a\n\u0000\ud83d\ude00""#)).as_deref(), Some("a\n\0😀"));
    for odd in ["7", r#"["a"]"#, r#""\ud800""#] {
        assert_eq!(text(raw(odd)), None, "{odd}");
    }
    assert_eq!(list(raw("[1, [2], {}]"), 3).map(|items| items.len()), Ok(3));
    assert_eq!(list(raw("[1, 2]"), 1).map(|items| items.len()), Err(NoList::Long));
    assert_eq!(list(raw(r#"{"a": 1}"#), 1).map(|items| items.len()), Err(NoList::Other));
    for (value, expect) in
        [("[ ]", true), ("{\n}", true), (r#""""#, true), ("[0]", false), ("0", false)]
    {
        assert_eq!(is_empty(raw(value)), expect, "{value}");
    }
}
