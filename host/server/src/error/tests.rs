//! Every error keeps its status, its code and whose it is.

use signalbox_policy::{Failure, Hook, PolicyRef, UploadProblem};

use super::*;

fn check(error: impl Into<ApiError>, status: u16, code: &str, kind: &str, blame: &str) {
    let Parts { status: is, body, .. } = *error.into().0;
    assert_eq!((is.as_u16(), body.code.as_str()), (status, code));
    assert_eq!((&*body.r#type, &*body.blame), (kind, blame), "{code}");
    assert!(!body.message.is_empty(), "{code}");
}

fn expert() -> String {
    "phi".to_owned()
}

fn policy_ref() -> PolicyRef {
    PolicyRef { name: "guard".to_owned(), revision: "ab".repeat(32) }
}

#[test]
fn engine_errors_keep_their_blame() {
    let invalid = "invalid_request_error";
    let too_long = EngineError::PromptTooLong { expert: expert(), prompt_tokens: 9, context: 8 };
    check(too_long, 400, "context_length_exceeded", invalid, "client");
    let template = EngineError::Template { expert: expert(), message: "roles".into() };
    check(template, 400, "template_refused", invalid, "client");
    let failed = EngineError::TemplateFailed { expert: expert(), problem: "deep".into() };
    check(failed, 503, "template_failed", "server_error", "expert");
    let lacking = EngineError::TemplateUnavailable { expert: expert(), problem: "x".into() };
    check(lacking, 503, "template_unavailable", "server_error", "host");
    let full = EngineError::QueueFull { expert: expert(), waiting: 3, retry_after: None };
    check(full, 429, "queue_full", "rate_limit_error", "host");
    let crashed = EngineError::Crashed { expert: expert(), problem: "gone".into() };
    check(crashed, 503, "expert_crashed", "server_error", "expert");
    let memory =
        EngineError::OutOfMemory { expert: expert(), needed: 2, available: 1, holders: vec![] };
    check(memory, 503, "out_of_memory", "server_error", "host");
    check(EngineError::Busy { expert: expert() }, 409, "expert_busy", "conflict_error", "client");
}

#[test]
fn policy_errors_keep_their_blame() {
    let refused =
        |kind| PolicyError::Refused { policy: policy_ref(), kind, message: "not today".to_owned() };
    check(refused(RefusalKind::Forbidden), 403, "policy_forbidden", "permission_error", "client");
    let other = refused(RefusalKind::Other("too_rude".to_owned()));
    check(other, 422, "too_rude", "invalid_request_error", "client");
    let failure = Failure::Deadline { limit_ms: 5 };
    let failed = PolicyError::Failed { policy: policy_ref(), hook: Hook::Pre, failure };
    check(failed, 500, "policy_deadline", "server_error", "policy");
    let out = |outage| PolicyError::Failed {
        policy: policy_ref(),
        hook: Hook::Pre,
        failure: Failure::OutOfService(outage),
    };
    let failing = out(Outage::Failing { retry_ms: 9000 });
    check(failing, 503, "policy_out_of_service", "server_error", "policy");
    let damaged = out(Outage::Unusable("damaged".into()));
    check(damaged, 503, "policy_out_of_service", "server_error", "host");
    let unreadable = PolicyError::Unreadable { problem: "state.json is empty".into() };
    check(unreadable, 503, "policies_unreadable", "server_error", "host");
    let reason = UploadProblem {
        code: "upload_core_module".into(),
        text: "a core module".into(),
        mend: "build a component".into(),
    };
    let rejected = PolicyError::Rejected { name: "guard".into(), reason: Box::new(reason) };
    check(rejected, 422, "upload_core_module", "invalid_request_error", "policy");
}

#[test]
fn retry_after_is_rounded_up() {
    let kind = RefusalKind::RateLimited { retry_ms: 1500 };
    let error = PolicyError::Refused { policy: policy_ref(), kind, message: "slow".into() };
    let response = ApiError::from(error).into_response();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
}

#[test]
fn what_waits_for_the_end_of_a_reply_says_how_long_that_takes() {
    let check = |error: ApiError, next_end, expect: &str| {
        let mut response = error.into_response();
        ApiError::measured(&mut response, || next_end);
        let after =
            response.headers().get(header::RETRY_AFTER).map(|after| after.to_str().unwrap());
        assert_eq!(after.unwrap_or("none"), expect);
    };
    let seven = Some(Duration::from_secs(7));
    let picture = ImageRefusal { at: "messages".into(), problem: ImageProblem::Full };
    check(picture.into(), seven, "7");
    check(Unread::Full { max: 9 }.into(), seven, "7");
    check(Refusal::Full { max: 9 }.into(), seven, "7");
    check(Refusal::Full { max: 9 }.into(), None, "1");
    check(ApiError::starting("loads"), seven, "1");
    check(Refusal::NoExpert { failed: vec![] }.into(), seven, "none");
}
