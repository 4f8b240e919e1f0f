//! One component per cap, at the cap and beyond it.

use signalbox_confine::Bounded;

use super::*;

/// At `at` of what the limit counts the component passes, one below it is refused by `code`.
fn bounded(text: &str, limit: &str, at: u64, code: &str) {
    let bytes = wat::parse_str(text).unwrap();
    let with = |value: u64| {
        let mut limits = Limits::default();
        let index = Limits::ALL.iter().position(|known| known.word() == Some(limit));
        limits.set(index.unwrap(), value);
        check(&bytes, &limits)
    };
    assert_eq!(with(at), Ok(()), "{limit}");
    let refused = with(at - 1).unwrap_err();
    assert_eq!(refused.code, code);
    assert!(refused.text.contains(&format!("may have {}", at - 1)), "{refused}");
    assert!(refused.mend.contains(&format!("policies.limits.{limit}")), "{refused}");
}

fn module(inside: &str) -> String {
    format!("(component (core module {inside}))")
}

#[test]
fn functions_are_bounded_in_number_and_size() {
    let three = module(r#"(import "a" "b" (func)) (func) (func)"#);
    bounded(&three, "upload_functions", 3, "upload_too_many_functions");
    let over_two = "(component (core module (func)) (core module (func)))";
    bounded(over_two, "upload_functions", 2, "upload_too_many_functions");
    let long = module(&format!("(func {})", "nop ".repeat(100)));
    bounded(&long, "upload_function_bytes", 102, "upload_function_too_large");
}

#[test]
fn locals_and_blocks_are_bounded_together() {
    let locals = module("(func (param i32 i64) (local i32 i32 f64))");
    bounded(&locals, "upload_function_locals", 5, "upload_too_many_locals");
    // 2 locals; the body, a block, a loop, a branch and a table of two and a default: 8 blocks.
    let body = "(local i32 i32) block loop i32.const 0 br_if 0 i32.const 0 br_table 0 1 0 end end";
    let merges = module(&format!("(func {body})"));
    bounded(&merges, "upload_function_merges", 16, "upload_function_too_complex");
    let twice = module(&format!("(func {body}) (func {body})"));
    bounded(&twice, "upload_merges", 32, "upload_too_complex");
    // A block of three results merges three values, without a local.
    let wide = "(func block (result i32 i32 i32) i32.const 1 i32.const 2 i32.const 3 end \
                drop drop drop)";
    bounded(&module(wide), "upload_function_merges", 6, "upload_function_too_complex");
}

#[test]
fn types_are_bounded_in_number_and_length() {
    let types = "(component (type string) (core type (func)) (core module (type (func))))";
    bounded(types, "upload_types", 3, "upload_too_many_types");
    let wide = module("(type (func (param i32 i32) (result i32)))");
    bounded(&wide, "upload_signature_values", 3, "upload_signature_too_long");
}

#[test]
fn parts_and_depth_are_bounded() {
    let nested = "(component (component (component)))";
    bounded(nested, "upload_depth", 3, "upload_too_deep");
    bounded(nested, "upload_parts", 3, "upload_too_many_parts");
    let instances = r#"(component (component $c) (instance $i (instantiate $c))
        (instance (instantiate $c)) (core module $m) (core instance (instantiate $m)))"#;
    bounded(instances, "upload_parts", 6, "upload_too_many_parts");
}

#[test]
fn segments_names_and_custom_sections_are_bounded() {
    let segments = module(r#"(memory 1) (data "a") (data "b") (table 1 funcref) (elem func)"#);
    bounded(&segments, "upload_segments", 3, "upload_too_many_segments");
    let names = r#"(component (import "abc" (func)) (core module (func (export "x"))))"#;
    bounded(names, "upload_names", 2, "upload_too_many_names");
    bounded(names, "upload_name_bytes", 3, "upload_name_too_long");
    let custom = r#"(component (@custom "a" "") (@custom "b" ""))"#;
    bounded(custom, "upload_custom_sections", 2, "upload_too_many_custom_sections");
}

#[test]
fn what_is_torn_is_malformed() {
    let whole = wat::parse_str(module("(func (local i32) block end)")).unwrap();
    for end in 8..whole.len() {
        if let Err(problem) = check(&whole[..end], &Limits::default()) {
            assert_eq!(problem.code, "upload_malformed");
        }
    }
}
