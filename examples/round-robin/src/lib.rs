//! Spreads calls evenly over the experts that can answer, whatever they are about.
//!
//! Each call gets a fresh instance, so there is no counter to advance. The shortest queue is taken
//! first, which evens out load as it arises; among equals the call's id decides, by a hash, which
//! evens out over many calls and answers the same call the same way.

use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, export};

struct RoundRobin;

impl Route for RoundRobin {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let mut able: Vec<_> = experts
            .iter()
            .filter(|expert| !expert.is_failed())
            .map(|expert| (expert.queue_depth(), expert.id()))
            .collect();
        let Some(depth) = able.iter().map(|(depth, _)| *depth).min() else {
            return Err(Refusal::other("no-expert", "no expert can answer: all of them failed"));
        };
        able.sort();
        let equals = able.iter().take_while(|(queue, _)| *queue == depth).count();
        let turn = (hash(&request.id()) % equals as u64) as usize;
        able[..equals].rotate_left(turn);
        let reason = format!("turn {} of {equals} with {depth} calls waiting", turn + 1);
        Ok(Decision::first_of(able.into_iter().map(|(_, id)| id)).because(reason))
    }
}

export!(RoundRobin: route);

/// FNV-1a, folded so that the low bits depend on all of the text.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use signalbox_sdk::{Plan, State, testing};

    use super::*;

    fn first(id: &str, experts: &[Expert]) -> String {
        let call = testing::request("hello").id(id).build();
        let Plan::Fallback(ids) = RoundRobin::choose(&call, experts).unwrap().plan else {
            panic!("not a fallback plan")
        };
        ids[0].clone()
    }

    #[test]
    fn calls_are_spread_evenly() {
        let experts = ["a", "b", "c", "d", "e"].map(|id| testing::expert(id).build());
        let mut counts = BTreeMap::new();
        for call in 0..1000 {
            *counts.entry(first(&format!("req-{call:08x}"), &experts)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 5);
        assert!(counts.values().all(|count| (140..=260).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_shortest_queue_comes_first_and_failed_experts_never() {
        let experts = [
            testing::expert("busy").queue_depth(2).build(),
            testing::expert("dead").state(State::Failed("gone".into())).build(),
            testing::expert("free").queue_depth(1).build(),
        ];
        assert!((0..20).all(|call| first(&call.to_string(), &experts) == "free"));
        assert!(RoundRobin::choose(&testing::request("").build(), &experts[1..2]).is_err());
    }
}
