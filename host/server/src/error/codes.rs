//! Every code that this host answers with, and what keeps a policy's own codes apart from them: a
//! client that switches on a code must know who speaks.

use signalbox_confine::clean;

/// Longest code of a policy, in bytes.
const GUEST_BYTES_MAX: usize = 64;
/// Stands before a policy's code that could be taken for the host's.
const GUEST_PREFIX: &str = "policy_";

/// Sorted.
const HOST: &[&str] = &[
    "admin_browser_refused",
    "admin_loopback_only",
    "body_memory_full",
    "body_timeout",
    "body_too_large",
    "body_too_slow",
    "body_unreadable",
    "canary_impossible",
    "canary_not_found",
    "chat_not_supported",
    "compiler_unavailable",
    "concurrent_calls_exceeded",
    "configuration_invalid",
    "context_length_exceeded",
    "decision_not_found",
    "decision_rated",
    "embeddings_not_supported",
    "expert_busy",
    "expert_crashed",
    "expert_not_allowed",
    "expert_unavailable",
    "expert_unloadable",
    "host_not_allowed",
    "image_invalid",
    "image_too_large",
    "image_unreachable",
    "image_url_not_allowed",
    "images_busy",
    "images_not_supported",
    "internal_panic",
    "invalid_admin_token",
    "invalid_api_key",
    "invalid_host",
    "invalid_json",
    "invalid_value",
    "method_not_allowed",
    "missing_admin_token",
    "missing_api_key",
    "missing_parameter",
    "model_not_found",
    "no_expert_available",
    "no_room",
    "nothing_to_roll_back",
    "origin_not_allowed",
    "out_of_memory",
    "pipeline_invalid",
    "policies_unreadable",
    "policy_deadline",
    "policy_forbidden",
    "policy_held_too_much",
    "policy_host_failed",
    "policy_invalid_answer",
    "policy_memory",
    "policy_name_invalid",
    "policy_no_room",
    "policy_not_found",
    "policy_out_of_service",
    "policy_output_too_large",
    "policy_overloaded",
    "policy_rate_limited",
    "policy_runtime",
    "policy_settings_invalid",
    "policy_too_large",
    "policy_trapped",
    "policy_unsigned",
    "queue_full",
    "rate_limit_exceeded",
    "registry_locked",
    "registry_storage",
    "reload_impossible",
    "replay_impossible",
    "reply_timeout",
    "response_not_found",
    "revision_ambiguous",
    "revision_in_use",
    "revision_new_imports",
    "revision_not_agreed",
    "revision_not_found",
    "revision_unusable",
    "rollback_unclear",
    "shadow_impossible",
    "shadow_not_found",
    "shutting_down",
    "starting",
    "template_failed",
    "template_refused",
    "template_unavailable",
    "too_many_images",
    "too_many_policies",
    "too_many_requests",
    "unknown_endpoint",
    "unsupported_encoding",
    "unsupported_media_type",
    "unsupported_parameter",
    "upload_compile_crashed",
    "upload_compile_depth",
    "upload_compile_memory",
    "upload_compile_time",
    "upload_compiled_too_large",
    "upload_contract_version",
    "upload_core_module",
    "upload_empty",
    "upload_feedback_without_route",
    "upload_function_too_complex",
    "upload_function_too_large",
    "upload_import_not_offered",
    "upload_malformed",
    "upload_name_taken",
    "upload_name_too_long",
    "upload_no_hook",
    "upload_not_a_component",
    "upload_not_runnable",
    "upload_precompiled",
    "upload_probe_failed",
    "upload_signature_too_long",
    "upload_too_complex",
    "upload_too_deep",
    "upload_too_large",
    "upload_too_many_custom_sections",
    "upload_too_many_functions",
    "upload_too_many_locals",
    "upload_too_many_names",
    "upload_too_many_parts",
    "upload_too_many_segments",
    "upload_too_many_types",
    "upload_wasm_text",
    "uploads_busy",
];

/// A policy's code as clients get it: short snake case, and none of the host's own.
pub(super) fn of_guest(code: &str) -> String {
    let snake = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut code: String = clean(code, GUEST_BYTES_MAX).chars().map(snake).collect();
    while code.is_empty() || HOST.contains(&code.as_str()) {
        code.insert_str(0, GUEST_PREFIX);
    }
    code
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn a_policys_code_is_never_the_hosts() {
        let check = |code: &str, expect: &str| assert_eq!(of_guest(code), expect, "{code:?}");
        check("too_rude", "too_rude");
        check("Too Rude!", "too_rude_");
        check("internal_panic", "policy_internal_panic");
        check("Internal-Panic", "policy_internal_panic");
        check("policy_trapped", "policy_policy_trapped");
        check("no\nroom", "no_nroom");
        check("", "policy_");
        assert!(of_guest(&"x".repeat(250_000)).len() <= GUEST_BYTES_MAX + 1);
        HOST.iter().for_each(|code| assert!(!HOST.contains(&of_guest(code).as_str()), "{code}"));
    }

    /// What stands before a code where one is written down.
    const BEFORE: [&str; 4] = ["problem(", "code:", "unauthorised(", "forbidden("];

    /// Whether the text before a literal says that it is a code.
    fn announces(before: &str, is_table: bool) -> bool {
        let before = before.trim_end();
        let after_status = before.strip_suffix(',').and_then(|before| before.rsplit_once("::"));
        after_status.is_some_and(|(path, _)| path.ends_with("StatusCode"))
            || BEFORE.iter().any(|start| before.ends_with(start))
            || is_table && before.ends_with("=>")
    }

    /// The codes in one source file, tests left out.
    fn written(source: &str, is_table: bool) -> impl Iterator<Item = &str> {
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let snake = |c: char| c.is_ascii_lowercase() || c == '_';
        source.match_indices('"').filter_map(move |(at, _)| {
            let literal = source[at + 1..].split('"').next()?;
            let fit = literal.contains('_') && literal.chars().all(snake);
            let kind = literal.ends_with("_error");
            (fit && !kind && announces(&source[..at], is_table)).then_some(literal)
        })
    }

    fn sources(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                let is_table = path.ends_with("src/error.rs");
                let source = fs::read_to_string(&path).unwrap();
                found.extend(written(&source, is_table).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_code_of_the_host_is_listed() {
        let (own, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")), BTreeSet::new());
        for room in ["src", "../policy/src"] {
            sources(&own.join(room), &mut found);
        }
        assert!(found.len() > 50, "codes are written differently now: {found:?}");
        let missing: Vec<_> = found.iter().filter(|code| !HOST.contains(&code.as_str())).collect();
        assert!(missing.is_empty(), "add these to HOST: {missing:?}");
        assert!(HOST.is_sorted());
    }

    #[test]
    fn every_code_stands_in_the_document_with_its_mend() {
        let document = include_str!("../../../../docs/errors.md");
        let rows = document.lines().filter(|line| line.starts_with("| `"));
        let cells =
            |row: &str| row.trim_matches('|').split(" | ").map(str::len).collect::<Vec<_>>();
        let listed: BTreeSet<&str> = rows
            .inspect(|row| assert!(cells(row).len() == 4, "code, status, whose, mend: {row}"))
            .map(|row| row.split('`').nth(1).unwrap())
            .collect();
        let missing: Vec<_> = HOST.iter().filter(|code| !listed.contains(*code)).collect();
        let gone: Vec<_> = listed.iter().filter(|code| !HOST.contains(code)).collect();
        assert!(missing.is_empty() && gone.is_empty(), "lacks {missing:?}, has {gone:?}");
    }
}
