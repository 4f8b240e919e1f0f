//! Schemas over every keyword that is held, made of tables; those that are refused; and bombs.

use serde_json::{Value, json};

use crate::Format;

const PATTERNS: [&str; 14] = [
    "^[a-z]{1,6}$",
    "^\\d{3}-\\d{4}$",
    "^(foo|bar|foobar)$",
    "^[A-Z][a-z]{2,5}$",
    "^a.c$",
    "^[^x]{1,4}$",
    "^\\w{1,5}@\\w{1,5}$",
    "^-?[0-9]{1,4}(\\.[0-9]{1,2})?$",
    "^(a|b){0,5}c$",
    "^x?y?z?$",
    "^[áéíóú]{2}$",
    "^ {0,2}end$",
    "^0x[0-9a-f]{2,4}$",
    "^v[0-9](\\.[0-9]){2}$",
];
/// Without those whose parts have a longest length, which the grammar does not hold: `email`, `hostname`.
const FORMATS: [&str; 6] = ["date", "date-time", "time", "uuid", "ipv4", "ipv6"];

fn leaves() -> Vec<Value> {
    vec![
        json!({ "type": "string", "maxLength": 5 }),
        json!({ "type": "integer" }),
        // Without bounds an exponent may become so large that no parser takes it.
        json!({ "type": "number", "minimum": -9.5, "maximum": 1e3 }),
        json!({ "type": "boolean" }),
        json!({ "type": "null" }),
        json!({ "enum": ["a", 1, null] }),
        json!({ "const": { "k": [1, "two"] } }),
    ]
}

fn strings() -> impl Iterator<Item = Value> {
    let lengths = (0..6).flat_map(|min| (min..min + 4).map(move |max| (min, max)));
    let lengths =
        lengths.map(|(min, max)| json!({ "type": "string", "minLength": min, "maxLength": max }));
    let patterns = PATTERNS.iter().map(|p| json!({ "type": "string", "pattern": p }));
    let formats = FORMATS.iter().map(|f| json!({ "type": "string", "format": f }));
    lengths.chain(patterns).chain(formats)
}

fn numbers() -> impl Iterator<Item = Value> {
    let bounds = [(3, 8), (0, 9), (-5, 5), (10, 10), (-100, -1), (17, 1234), (0, 1_000_000)];
    let both = |kind: &'static str| {
        bounds.into_iter().flat_map(move |(low, high)| {
            [
                json!({ "type": kind, "minimum": low, "maximum": high }),
                json!({ "type": kind, "exclusiveMinimum": low - 1, "exclusiveMaximum": high + 1 }),
                json!({ "type": kind, "minimum": low }),
            ]
        })
    };
    // Bounded, for the validator divides numbers in f64.
    let multiples = [2, 3, 5, 10, 25].map(
        |of| json!({ "type": "integer", "multipleOf": of, "minimum": 0, "maximum": 1_000_000 }),
    );
    both("integer").chain(both("number")).chain(multiples)
}

fn arrays() -> impl Iterator<Item = Value> {
    let sized = leaves().into_iter().flat_map(|item| {
        [(0, 1), (0, 2), (1, 3), (2, 2), (0, 0)].map(|(min, max)| {
            json!({ "type": "array", "items": item, "minItems": min, "maxItems": max })
        })
    });
    let tuples = (0..leaves().len()).map(|at| {
        let first = &leaves()[at];
        json!({ "type": "array", "prefixItems": [first, { "type": "integer" }], "items": false })
    });
    sized.chain(tuples)
}

fn objects() -> impl Iterator<Item = Value> {
    let keys = ["a", "b", "ñ \"c\""];
    let required = (0..8_u32).map(move |set| {
        let required: Vec<&str> = keys
            .into_iter()
            .enumerate()
            .filter(|(at, _)| set >> at & 1 == 1)
            .map(|(_, k)| k)
            .collect();
        let properties: serde_json::Map<String, Value> =
            keys.into_iter().zip(leaves()).map(|(key, leaf)| (key.to_owned(), leaf)).collect();
        json!({
            "type": "object", "properties": properties, "required": required,
            "additionalProperties": false,
        })
    });
    let more = leaves().into_iter().map(|leaf| {
        json!({ "type": "object", "properties": { "x": { "type": "integer" } },
                "required": ["x"], "additionalProperties": leaf })
    });
    let patterned = leaves().into_iter().map(|leaf| {
        json!({ "type": "object", "patternProperties": { "^k[0-9]$": leaf },
                "additionalProperties": false })
    });
    required.chain(more).chain(patterned)
}

fn combined() -> impl Iterator<Item = Value> {
    let any = (0..leaves().len()).map(|at| {
        let other = &leaves()[(at + 2) % 7];
        json!({ "anyOf": [leaves()[at], other] })
    });
    let any_more = (0..leaves().len()).map(|at| {
        let others = [&leaves()[(at + 3) % 7], &leaves()[(at + 4) % 7]];
        json!({ "anyOf": [leaves()[at], others[0], others[1]], "title": "any", "default": null })
    });
    let all = (1..8)
        .map(|max| json!({ "allOf": [{ "type": "integer", "minimum": 0 }, { "maximum": max }] }));
    let one = (0..4).map(|at| {
        json!({ "oneOf": [{ "type": "object", "properties": { "kind": { "const": at }, "v": leaves()[at] },
                            "required": ["kind", "v"], "additionalProperties": false },
                          { "type": "null" }] })
    });
    let types =
        [json!(["string", "null"]), json!(["integer", "boolean"]), json!(["array", "null"])];
    let types = types.map(|kinds| json!({ "type": kinds, "maxLength": 4, "maxItems": 1 }));
    any.chain(any_more).chain(all).chain(one).chain(types)
}

fn nested() -> Vec<Value> {
    let mut deep = json!({ "type": "integer" });
    let mut nested = Vec::new();
    for level in 0..8 {
        deep = match level % 2 {
            0 => json!({ "type": "array", "items": deep, "minItems": 1, "maxItems": 1 }),
            _ => json!({ "type": "object", "properties": { "in": deep }, "required": ["in"],
                         "additionalProperties": false }),
        };
        nested.push(deep.clone());
    }
    nested.push(json!({
        "$defs": { "node": { "type": "object", "properties": {
            "value": { "type": "integer", "minimum": 0, "maximum": 9 },
            "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
        }, "required": ["value", "next"], "additionalProperties": false } },
        "$ref": "#/$defs/node",
    }));
    nested.push(json!({
        "definitions": { "color": { "enum": ["red", "green"] } },
        "type": "object", "properties": { "c": { "$ref": "#/definitions/color" } }, "required": ["c"],
    }));
    nested
}

/// Schemas whose answers are held.
pub(super) fn schemas() -> Vec<Value> {
    leaves()
        .into_iter()
        .chain(strings())
        .chain(numbers())
        .chain(arrays())
        .chain(objects())
        .chain(combined())
        .chain(nested())
        .chain([json!({ "type": "object" }), json!({ "type": "array", "maxItems": 3 })])
        .collect()
}

/// Keywords that no grammar can hold.
pub(super) fn refused() -> Vec<Value> {
    vec![
        json!({ "type": "array", "items": { "type": "integer" }, "uniqueItems": true }),
        json!({ "type": "array", "contains": { "const": 1 } }),
        json!({ "not": { "type": "string" } }),
        json!({ "if": { "type": "string" }, "then": { "maxLength": 1 } }),
        json!({ "type": "object", "dependentRequired": { "a": ["b"] } }),
        json!({ "type": "object", "propertyNames": { "maxLength": 2 } }),
        json!({ "type": "string", "pattern": "(?=a)b" }),
        json!({ "$ref": "#/nowhere" }),
        json!({ "type": "integer", "minimum": 5, "maximum": 4 }),
        json!({ "type": "thing" }),
    ]
}

/// What takes all of a machine where nothing bounds it. Some are compiled, since nothing is unrolled before
/// a reply comes to it.
pub(super) fn bombs() -> Vec<Format> {
    let wide: Vec<Value> = (0..60_000).map(Value::from).collect();
    let mut all = json!({ "type": "object" });
    for level in 0..20 {
        all = json!({ "allOf": [{ "anyOf": [all, { "required": [level.to_string()] }] },
                                { "anyOf": [{ "minProperties": level }, all] }] });
        if all.to_string().len() > 30_000 {
            break;
        }
    }
    vec![
        Format::JsonSchema(json!({ "enum": wide })),
        Format::JsonSchema(json!({ "type": "string", "pattern": "^((a{1,999}){1,999}){1,999}$" })),
        Format::JsonSchema(json!({ "type": "array", "minItems": 1_000_000_000 })),
        Format::JsonSchema(all),
        Format::Regex("(.{1,9999}){1,9999}".into()),
        Format::Regex("(a|b)*a(a|b){9999}".into()),
        Format::Grammar("start: \"a\"{1,999999999}".into()),
        Format::Grammar("start: start start | \"a\"".repeat(2)),
    ]
}
