//! From a hook to its file.

use std::sync::Arc;

use super::{Spec, post, pre, route};
use crate::{Call, ExpertView, Failure, Hook, policy::Policy};

/// What is declared of `hook`.
pub(crate) fn spec(hook: Hook) -> &'static Spec {
    match hook {
        Hook::Pre => &pre::SPEC,
        Hook::Route => &route::SPEC,
        Hook::Post => &post::SPEC,
    }
}

/// Tries one hook of `policy` on a recorded call. A refusal is a fine answer.
pub(crate) async fn probe(
    hook: Hook,
    policy: &Arc<Policy>,
    call: Arc<Call>,
    menu: &Arc<[ExpertView]>,
) -> Result<(), Failure> {
    match hook {
        Hook::Pre => policy.handle(call).await.map(drop),
        Hook::Route => policy.choose(&call, menu).await.map(drop),
        Hook::Post => post::probe(policy, &call, menu).await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Limits;

    #[test]
    fn every_hook_has_its_own_declaration() {
        for hook in Hook::ALL {
            assert_eq!(spec(hook).hook, hook);
        }
    }

    #[test]
    fn deadlines_grow_with_the_text() {
        let limits = Limits::default();
        let check = |hook, bytes, ms| {
            assert_eq!(spec(hook).deadline(&limits, bytes), Duration::from_millis(ms));
        };
        check(Hook::Route, 0, 500);
        check(Hook::Pre, 1000, 1000);
        check(Hook::Pre, 16 << 20, 9000);
    }
}
