//! What clients read of a call that failed: whose it is, what they can do, and the id under which an
//! operator finds why. The grounds (a guest's last words, paths, limits, what the system said) are
//! for the log and the decision log; see [`Trace`](crate::decisions::Trace).

use signalbox_engine::EngineError;
use signalbox_policy::{Failure, PolicyError};

use super::ApiError;
use crate::pipeline::{Refusal, Refused};

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let Refused { id, refusal } = refused;
        let outer = outer(&refusal, &id);
        let error = Self::inner(refusal);
        match outer {
            Some(message) => error.saying(&message),
            None => error,
        }
    }
}

/// Of what was turned away before it was a call, and has no grounds to look up.
impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Refused { id: String::new(), refusal }.into()
    }
}

/// The text for clients; `None` where the inner one is theirs: what they can mend themselves, and what
/// a policy gives on purpose.
fn outer(refusal: &Refusal, id: &str) -> Option<String> {
    let asks = format!("ask the operator, who finds why under request id '{id}'");
    match refusal {
        Refusal::NoExpert { failed } => {
            let ids: Vec<&str> =
                failed.iter().filter_map(|failed| failed.split(':').next()).collect();
            Some(format!("no expert can answer now, as {} can't be served; {asks}", names(&ids)))
        }
        Refusal::Engine(error) => engine(error, &asks),
        Refusal::Policy(error) => policy(error, &asks),
        Refusal::Full { .. }
        | Refusal::Exceeded(_)
        | Refusal::NotAllowed { .. }
        | Refusal::UnknownExpert { .. }
        | Refusal::TooSlow { .. } => None,
    }
}

fn names(ids: &[&str]) -> String {
    match ids {
        [] => "none".to_owned(),
        ids => format!("'{}'", ids.join("', '")),
    }
}

fn engine(error: &EngineError, asks: &str) -> Option<String> {
    Some(match error {
        EngineError::Unloadable { expert, .. } => {
            format!("expert '{expert}' can't be loaded; ask another expert, or {asks}")
        }
        EngineError::Crashed { expert, .. } => {
            format!("expert '{expert}' stopped in the middle of its work; retry, or {asks}")
        }
        EngineError::OutOfMemory { expert, holders, .. }
        | EngineError::NoRoom { expert, holders, .. } => {
            let holders: Vec<&str> = holders.iter().map(String::as_str).collect();
            let held = match &holders[..] {
                [] => String::new(),
                some => format!(", as {} stays in memory", names(some)),
            };
            format!(
                "there is no memory for expert '{expert}' now{held}; ask another expert, or {asks}"
            )
        }
        EngineError::QueueFull { .. } | EngineError::ShuttingDown => return None,
        error if error.blame() == signalbox_engine::Blame::Client => return None,
        _ => format!("the expert can't answer; retry later, or {asks}"),
    })
}

fn policy(error: &PolicyError, asks: &str) -> Option<String> {
    Some(match error {
        PolicyError::Refused { .. } => return None,
        PolicyError::Failed { policy, failure: Failure::OutOfService(_), .. } => {
            format!("policy {policy} is out of service; retry later, or {asks}")
        }
        PolicyError::Failed { policy, failure, .. } if failure.is_the_policys() => {
            format!("policy {policy} failed; retry, or {asks}")
        }
        PolicyError::Failed { policy, .. } => {
            format!("policy {policy} could not be run; retry later, or {asks}")
        }
        error if error.blame() == signalbox_policy::Blame::Client => return None,
        _ => format!("a policy that this call has to pass can't answer; retry later, or {asks}"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use signalbox_engine::{Finding, Severity};
    use signalbox_policy::{Hook, Outage, PolicyRef, RefusalKind};

    use super::*;

    const SECRET: &str = "/srv/secret";

    fn described(refusal: impl Into<Refusal>) -> ApiError {
        Refused { id: "req_7".to_owned(), refusal: refusal.into() }.into()
    }

    fn check(refusal: impl Into<Refusal>, code: &str, words: &str) {
        let error = described(refusal);
        let text = serde_json::to_string(&error.to_json()).unwrap();
        assert_eq!(error.code(), code);
        assert!(text.contains(words) && text.contains("request id 'req_7'"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }

    fn expert() -> String {
        "phi".to_owned()
    }

    fn damage(problem: &str) -> Finding {
        Finding {
            severity: Severity::Error,
            code: "checkpoint-unreadable",
            message: problem.to_owned(),
            mend: String::new(),
        }
    }

    fn guard() -> PolicyRef {
        PolicyRef { name: "guard".into(), revision: "ab".repeat(32) }
    }

    #[test]
    fn clients_read_whose_it_is_and_operators_find_why() {
        let (path, problem) = (PathBuf::from(SECRET), format!("{SECRET}: permission denied"));
        let faults = damage(&problem).into();
        let lost = EngineError::Unloadable { expert: expert(), path, faults };
        check(lost, "expert_unloadable", "expert 'phi' can't be loaded; ask another");
        let crashed = EngineError::Crashed { expert: expert(), problem: problem.clone() };
        check(crashed, "expert_crashed", "expert 'phi' stopped");
        let full =
            EngineError::OutOfMemory { expert: expert(), needed: 2, available: 1, holders: vec![] };
        check(full, "out_of_memory", "no memory for expert 'phi' now");
        let failed = vec![format!("phi: {problem}")];
        check(Refusal::NoExpert { failed }, "no_expert_available", "no expert can answer now");
        for (failure, code) in [
            (Failure::Trap(format!("it said: {problem}; in main")), "policy_trapped"),
            (Failure::Invalid(problem.clone()), "policy_invalid_answer"),
            (Failure::Memory { wanted_bytes: 9, limit_bytes: 8 }, "policy_memory"),
        ] {
            let failed = PolicyError::Failed { policy: guard(), hook: Hook::Pre, failure };
            check(failed, code, "policy guard@abababababab failed; retry");
        }
        let out = Failure::OutOfService(Outage::Unusable(problem.clone()));
        let out = PolicyError::Failed { policy: guard(), hook: Hook::Pre, failure: out };
        check(out, "policy_out_of_service", "policy guard@abababababab is out of service");
        let unreadable = PolicyError::Unreadable { problem: problem.clone() };
        check(unreadable, "policies_unreadable", "can't answer");
        let storage = PolicyError::Storage { path: SECRET.into(), problem };
        check(storage, "registry_storage", "can't answer");
    }

    #[test]
    fn a_refusal_keeps_the_policys_words_on_one_line() {
        let kind = RefusalKind::Other("internal_panic".to_owned());
        let message = format!("not\nhere\u{202e}{}", "x".repeat(250_000));
        let error = described(PolicyError::Refused { policy: guard(), kind, message });
        let text = serde_json::to_string(&error.to_json()).unwrap();
        assert_eq!(error.code(), "policy_internal_panic");
        assert!(text.contains(r"not\\nhere\\u{202e}xxx") && text.len() < 5000, "{text}");
    }
}
