//! How much a guest may say beside texts: what goes into headers, errors and the decision log is
//! short.

use super::refusal::Refusal;
use crate::{
    CallBounds, Failure, RefusalKind,
    bindings::exports::signalbox::policy::route::{Decision, Plan},
};

/// Bytes of a router's reason.
const REASON_BYTES: usize = 2048;
/// Labels of one decision.
const TAGS: usize = 32;
/// Bytes of a label's key.
const TAG_KEY_BYTES: usize = 128;
/// Bytes of a label's value.
const TAG_VALUE_BYTES: usize = 256;
/// Experts in a fallback list.
const FALLBACKS: usize = 64;
/// Bytes of an expert's id.
const EXPERT_ID_BYTES: usize = 256;
/// Bytes of a refusal's code.
const CODE_BYTES: usize = 64;
/// Bytes of a refusal's message.
const MESSAGE_BYTES: usize = 4096;
/// Refuses a decision that says too much.
pub(super) fn decision(said: &Decision, bounds: &CallBounds) -> Result<(), Failure> {
    at_most(said.reason.len(), REASON_BYTES)?;
    for (key, value) in &said.tags {
        at_most(key.len(), TAG_KEY_BYTES)?;
        at_most(value.len(), TAG_VALUE_BYTES)?;
    }
    few("tags", said.tags.len(), TAGS)?;
    match &said.plan {
        Plan::Expert(id) | Plan::Other(id) => at_most(id.len(), EXPERT_ID_BYTES),
        Plan::Fallback(ids) => experts("fallback list", ids, FALLBACKS),
        Plan::Consensus(consensus) => {
            let judge = consensus.judge.as_ref().map_or(0, String::len);
            at_most(judge, EXPERT_ID_BYTES)?;
            experts("consensus", &consensus.members, bounds.members_max)
        }
    }
}

fn experts(what: &str, ids: &[String], most: usize) -> Result<(), Failure> {
    few(&format!("experts in its {what}"), ids.len(), most)?;
    for (at, id) in ids.iter().enumerate() {
        at_most(id.len(), EXPERT_ID_BYTES)?;
        if ids[..at].contains(id) {
            return Err(Failure::Invalid(format!("its {what} names '{id}' twice")));
        }
    }
    Ok(())
}

/// Refuses a refusal that says too much. Its code is distinguished from the host's own where it leaves.
pub(crate) fn refusal(said: &Refusal) -> Result<(), Failure> {
    at_most(said.message.len(), MESSAGE_BYTES)?;
    match &said.kind {
        RefusalKind::Other(code) => at_most(code.len(), CODE_BYTES),
        _ => Ok(()),
    }
}

/// Refuses answers that are too large.
pub(super) fn output(bytes: usize, limit_bytes: u64) -> Result<(), Failure> {
    if bytes as u64 > limit_bytes {
        return Err(Failure::OutputTooLarge { limit_bytes });
    }
    Ok(())
}

fn at_most(bytes: usize, most: usize) -> Result<(), Failure> {
    output(bytes, most as u64)
}

fn few(what: &str, count: usize, most: usize) -> Result<(), Failure> {
    if count > most {
        return Err(Failure::Invalid(format!("it has {count} {what}, and {most} are taken")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::signalbox::policy::route::{Consensus, ConsensusMode};

    fn bounds() -> CallBounds {
        CallBounds { members_max: 3, ..CallBounds::default() }
    }

    fn decided(plan: Plan) -> Decision {
        Decision { plan, reason: String::new(), confidence: 1.0, tags: vec![] }
    }

    fn check(said: &Decision, expect: Option<&str>) {
        let message = decision(said, &bounds()).err().map(|failure| failure.to_string());
        assert_eq!(message.as_deref(), expect);
    }

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    #[test]
    fn decisions_are_short() {
        let invalid = |why: &str| format!("its answer is invalid: {why}");
        let too_large = |bytes| format!("it answered with more than the {bytes} bytes it may");
        check(&decided(Plan::Fallback(ids(64))), None);
        let many = invalid("it has 65 experts in its fallback list, and 64 are taken");
        check(&decided(Plan::Fallback(ids(65))), Some(&many));
        let twice = Plan::Fallback(vec!["a".into(), "b".into(), "a".into()]);
        check(&decided(twice), Some(&invalid("its fallback list names 'a' twice")));
        let all = |members| {
            Plan::Consensus(Consensus { members, judge: None, mode: ConsensusMode::Parallel })
        };
        check(&decided(all(ids(3))), None);
        let many = invalid("it has 4 experts in its consensus, and 3 are taken");
        check(&decided(all(ids(4))), Some(&many));
        check(&decided(Plan::Expert("x".repeat(257))), Some(&too_large(256)));
        let plain = || decided(Plan::Expert("a".into()));
        check(&Decision { reason: "x".repeat(2049), ..plain() }, Some(&too_large(2048)));
        let tagged = |count, key: usize, value: usize| {
            let tag = ("k".repeat(key), "v".repeat(value));
            Decision { tags: vec![tag; count], ..plain() }
        };
        check(&tagged(32, 128, 256), None);
        check(&tagged(33, 1, 1), Some(&invalid("it has 33 tags, and 32 are taken")));
        check(&tagged(1, 129, 1), Some(&too_large(128)));
        check(&tagged(1, 1, 257), Some(&too_large(256)));
    }

    #[test]
    fn refusals_are_short() {
        let fits =
            |kind, message: usize| refusal(&Refusal { kind, message: "x".repeat(message) }).is_ok();
        let coded = |bytes: usize| RefusalKind::Other("x".repeat(bytes));
        assert!(fits(coded(64), 0) && !fits(coded(65), 0));
        assert!(fits(RefusalKind::Forbidden, 4096) && !fits(RefusalKind::Forbidden, 4097));
    }
}
