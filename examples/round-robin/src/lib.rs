//! Spreads calls evenly: the shortest queue first, and among equals by a hash of the request id.
//!
//! Every call gets a fresh instance, so there is no counter that could go round; the hash of an id that
//! is never used twice spreads just as evenly, and needs no memory.

use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, export};

struct RoundRobin;

impl Route for RoundRobin {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let able: Vec<&Expert> = experts.iter().filter(|expert| !expert.is_failed()).collect();
        let shortest = able.iter().map(|expert| expert.queue_depth()).min();
        let shortest = shortest
            .ok_or_else(|| Refusal::other("no-expert", "every expert has failed; see /experts"))?;
        let equals: Vec<_> = able.iter().filter(|e| e.queue_depth() == shortest).collect();
        let turn = usize::try_from(hash(&request.id()) % equals.len() as u64).unwrap_or(0);
        let chosen = equals[turn].id();
        let others = able.iter().map(|expert| expert.id()).filter(|id| *id != chosen);
        let plan: Vec<String> = std::iter::once(chosen.clone()).chain(others).collect();
        let reason = format!("turn {} of {} with a queue of {shortest}", turn + 1, equals.len());
        Ok(Decision::first_of(plan).because(reason))
    }
}

/// 64-bit FNV-1a, with the high bits folded in because its low bits alone spread badly.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 32)
}

export!(RoundRobin: route);

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_sdk::{Plan, State, testing};

    fn chosen(id: &str, experts: &[Expert]) -> String {
        let request = testing::request("hello").id(id).build();
        match RoundRobin::choose(&request, experts).unwrap().plan {
            Plan::Fallback(plan) => plan[0].clone(),
            plan => panic!("{plan:?}"),
        }
    }

    #[test]
    fn calls_are_spread_evenly() {
        let experts: Vec<_> =
            ["a", "b", "c", "d", "e"].map(|id| testing::expert(id).build()).into();
        let mut calls = [0; 5];
        for call in 0..1000 {
            let id = chosen(&format!("req-{call:016x}"), &experts);
            calls[experts.iter().position(|expert| expert.id() == id).unwrap()] += 1;
        }
        assert!(calls.iter().all(|calls| (150..250).contains(calls)), "{calls:?}");
    }

    #[test]
    fn queues_come_first_and_failed_experts_never() {
        let experts = [
            testing::expert("busy").queue_depth(2).build(),
            testing::expert("broken").state(State::Failed("truncated".into())).build(),
            testing::expert("idle").build(),
        ];
        assert!((0..20).all(|call| chosen(&call.to_string(), &experts) == "idle"));
        let broken = [testing::expert("broken").state(State::Failed("gone".into())).build()];
        assert!(RoundRobin::choose(&testing::request("hello").build(), &broken).is_err());
    }
}
