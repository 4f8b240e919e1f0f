//! The `route` hook: one call into a fresh instance; a decision counts only when it names experts
//! that are on the menu.

use std::sync::Arc;

use wasmtime::{Store, component::Instance};

use super::{Answer, Refusal, Spec, bounds};
use crate::{
    Call, CallBounds, ConsensusMode, Decision, ExpertView, Failure, Hook, OnFailure, Plan,
    PolicyError, PolicyRef,
    bindings::exports::signalbox::policy::route::{self, GuestIndices},
    comparison::Verdict,
    policy::{Policy, no_hook},
    snapshot::Snapshot,
    store::State,
};

/// A call can be answered without a router.
pub(crate) static SPEC: Spec = Spec {
    hook: Hook::Route,
    deadline_ms: |limits| limits.route_deadline_ms,
    on_failure: OnFailure::Native,
    guards: false,
};

impl Snapshot {
    /// Asks the router who answers `call`. `None` leaves the choice to the host's own default:
    /// there is no router, or it failed and is skipped.
    ///
    /// # Errors
    /// As [`Snapshot::pre`].
    pub async fn route(
        &self,
        call: &Call,
        menu: &[ExpertView],
    ) -> Result<Option<Decision>, PolicyError> {
        self.check_sealed()?;
        let Some(router) = &self.pipeline().route else { return Ok(None) };
        let (call, menu) = (&Arc::new(call.clone()), &menu.into());
        let witness = self.witness(router, Hook::Route, call, menu);
        let asked = |policy: Arc<Policy>| async move { policy.choose(call, menu).await };
        let chosen = self.ask(&SPEC, router, call, asked).await;
        match (&chosen, witness) {
            (Ok(Some((seat, decision))), Some(witness)) => {
                witness.said(&seat.id, Verdict::chose(decision));
            }
            (Err(error), Some(witness)) => witness.ended(error),
            _ => {}
        }
        Ok(chosen?.map(|(_, decision)| decision))
    }
}

impl Policy {
    /// Asks the policy who answers `call`.
    pub(crate) async fn choose(
        self: &Arc<Self>,
        call: &Arc<Call>,
        menu: &Arc<[ExpertView]>,
    ) -> Result<Answer<Decision>, Failure> {
        let (text_bytes, runs) = (call.text_bytes(), call.runs.clone());
        let (call, menu) = (call.clone(), menu.clone());
        let asking = |policy: Arc<Self>, turn, held| async move {
            let guest = policy.program.route.as_ref().ok_or_else(|| no_hook(Hook::Route))?;
            let (mut store, instance) = policy.fresh(Hook::Route, turn, held).await?;
            let said = choose(&mut store, &instance, guest, &call, &menu).await;
            match said.map_err(|error| store.data().failure(error))? {
                Ok(decision) => policy.judge(decision, &menu).map(Ok),
                Err(refusal) => policy.refusal(Hook::Route, refusal),
            }
        };
        self.call(&SPEC, &runs, text_bytes, self.room(text_bytes), asking).await
    }

    fn judge(&self, said: route::Decision, menu: &[ExpertView]) -> Result<Decision, Failure> {
        judged(self.id().clone(), said, menu, &self.lent.bounds)
    }
}

/// A decision, if it makes sense and does not say too much.
pub(crate) fn judged(
    policy: PolicyRef,
    said: route::Decision,
    menu: &[ExpertView],
    bounds: &CallBounds,
) -> Result<Decision, Failure> {
    bounds::decision(&said, bounds)?;
    if !(0.0..=1.0).contains(&said.confidence) {
        return invalid(format!("its confidence is {}, not 0 to 1", said.confidence));
    }
    let plan = plan(said.plan)?;
    check_experts(&plan, menu)?;
    let route::Decision { reason, confidence, tags, .. } = said;
    Ok(Decision { policy, plan, reason, confidence, tags })
}

async fn choose(
    store: &mut Store<State>,
    instance: &Instance,
    guest: &GuestIndices,
    call: &Arc<Call>,
    menu: &Arc<[ExpertView]>,
) -> wasmtime::Result<Answer<route::Decision>> {
    let guest = guest.load(&mut *store, instance)?;
    let request = store.data_mut().show(call.clone())?;
    let experts = store.data_mut().show_menu(menu)?;
    let answer = guest.call_choose(&mut *store, request, &experts).await?;
    Ok(answer.map_err(Refusal::from))
}

fn invalid<T>(why: String) -> Result<T, Failure> {
    Err(Failure::Invalid(why))
}

/// The guest's plan in the host's words.
fn plan(said: route::Plan) -> Result<Plan, Failure> {
    match said {
        route::Plan::Expert(id) => Ok(Plan::Expert(id)),
        route::Plan::Fallback(ids) if ids.is_empty() => {
            invalid("its fallback list is empty".into())
        }
        route::Plan::Fallback(ids) => Ok(Plan::Fallback(ids)),
        route::Plan::Consensus(consensus) => self::consensus(consensus),
        route::Plan::Other(plan) => invalid(format!("the plan '{plan}' is not known here")),
    }
}

fn consensus(said: route::Consensus) -> Result<Plan, Failure> {
    let route::Consensus { members, judge, mode } = said;
    if members.len() < 2 {
        return invalid(format!("its consensus has {} members, not two or more", members.len()));
    }
    let mode = match mode {
        route::ConsensusMode::Parallel => ConsensusMode::Parallel,
        route::ConsensusMode::Turns => ConsensusMode::Turns,
        route::ConsensusMode::Other(mode) => {
            return invalid(format!("the consensus mode '{mode}' is not known here"));
        }
    };
    Ok(Plan::Consensus { members, judge, mode })
}

impl Plan {
    /// Every expert that the plan names.
    pub(crate) fn experts(&self) -> impl Iterator<Item = &String> {
        let (many, one) = match self {
            Self::Expert(id) => (&[][..], Some(id)),
            Self::Fallback(ids) => (ids.as_slice(), None),
            Self::Consensus { members, judge, .. } => (members.as_slice(), judge.as_ref()),
        };
        many.iter().chain(one)
    }
}

fn check_experts(plan: &Plan, menu: &[ExpertView]) -> Result<(), Failure> {
    let on_menu = |id: &String| menu.iter().any(|expert| expert.id == *id);
    match plan.experts().find(|id| !on_menu(id)) {
        None => Ok(()),
        Some(id) => {
            let known: Vec<&str> = menu.iter().map(|expert| expert.id.as_str()).collect();
            invalid(format!("it chose '{id}', but the menu is {}", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    fn consensus_of(members: &[&str], mode: route::ConsensusMode) -> route::Plan {
        route::Plan::Consensus(route::Consensus { members: ids(members), judge: None, mode })
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        let check = |said, expect: &str| {
            let message = plan(said).unwrap_err().to_string();
            assert_eq!(message, format!("its answer is invalid: {expect}"));
        };
        check(route::Plan::Fallback(vec![]), "its fallback list is empty");
        check(route::Plan::Other("dice".into()), "the plan 'dice' is not known here");
        let alone = consensus_of(&["a"], route::ConsensusMode::Turns);
        check(alone, "its consensus has 1 members, not two or more");
        let strange = consensus_of(&["a", "b"], route::ConsensusMode::Other("duel".into()));
        check(strange, "the consensus mode 'duel' is not known here");
    }

    #[test]
    fn every_expert_of_a_plan_must_be_on_the_menu() {
        let menu = crate::registry::probe::menu();
        let check = |plan, expect| assert_eq!(check_experts(&plan, &menu).is_ok(), expect);
        let (known, other) = (menu[0].id.as_str(), menu[1].id.as_str());
        check(Plan::Expert(known.into()), true);
        check(Plan::Expert("nobody".into()), false);
        check(Plan::Fallback(ids(&[known, "nobody"])), false);
        let members = ids(&[known, other]);
        let mode = ConsensusMode::Parallel;
        let judge = |id: &str| Some(id.to_string());
        check(Plan::Consensus { members: members.clone(), judge: judge(known), mode }, true);
        check(Plan::Consensus { members, judge: judge("nobody"), mode }, false);
    }
}
