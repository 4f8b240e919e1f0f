//! Questions about a text, answered with probabilities instead of words. One expert answers all of them, each as a prompt of its
//! own: the text, and behind it the question, so that the text is computed once. Policies see a call with the text as its
//! first message and the questions as the others.

use std::iter;

use futures_util::{StreamExt, TryStreamExt, stream};
use signalbox_engine::{EngineError, Event, Finish, Message, Prompt, Request, Usage};
use signalbox_policy::Plan;
use tracing::Instrument;

use super::{
    Pipeline, Routed,
    call::Call,
    choice::{Choice, Route},
    deadline::Deadline,
    end::{End, Ending, Performance},
    experts::{Experts, Opened, cut_off, open},
    meter::Meter,
    questions::Labels,
    refusal::{Refusal, Refused},
    source::add,
    unexamined,
};
use crate::decisions::Trace;

/// Questions that one call has answered at once.
const ABREAST: usize = 8;

/// Questions that are answered.
pub(crate) struct Decided {
    /// The expert that answered, or the policy that answered instead.
    pub(crate) model: String,
    /// Who chose it.
    pub(crate) route: Route,
    /// Why, in the router's words.
    pub(crate) reason: String,
    /// What the call's record in the decision log is called.
    pub(crate) decision: String,
    /// Of each question, of which there is one at least, the log probabilities of its labels; `None` where a policy
    /// answered instead.
    pub(crate) answers: Vec<Option<Vec<f64>>>,
    /// What all of them cost.
    pub(crate) usage: Usage,
}

/// The same before it is in the books.
struct Weighed {
    model: String,
    route: Route,
    answers: Vec<Option<Vec<f64>>>,
    usage: Usage,
}

impl Pipeline {
    /// One call from received to answered, of which the first message is a text and each of the others a question about it.
    ///
    /// # Errors
    /// Everything that ends a reply early, too: there is none of which a part would stand.
    pub(crate) async fn decide(
        &self,
        call: Call,
        questions: &[Labels],
        deadline: Deadline,
    ) -> Result<Decided, Refused> {
        let _charge = call.caller.charged(&call.progress);
        let mut trace = self.decisions.begin(&call);
        let span = trace.span();
        let weighing = self.weigh(call, questions, &mut trace).instrument(span);
        let weighed = match deadline.within(weighing).await.flatten() {
            Ok(weighed) => weighed,
            Err(refusal) => return Err(trace.refused(refusal)),
        };
        let Weighed { model, route, answers, usage } = weighed;
        let mut meter = Meter::begin(&model, trace, self.telemetry.clone());
        let (reason, decision) = (meter.reason(), meter.decision().to_owned());
        let (ending, performance) = (Ending::Expert(Finish::Stop), Performance::default());
        meter.finished(End { ending, usage: Some(usage), performance });
        Ok(Decided { model, route, reason, decision, answers, usage })
    }

    async fn weigh(
        &self,
        call: Call,
        questions: &[Labels],
        trace: &mut Trace,
    ) -> Result<Weighed, Refusal> {
        let policies = self.policies.snapshot_of(&call.caller.stickiness(&call.view.id));
        if !policies.seats()?.is_empty() {
            return Err(unexamined().into());
        }
        let (call, Choice { route, plan, .. }) = match self.routed(call, &policies, trace).await? {
            Routed::Chosen { call, choice, .. } => (call, choice),
            Routed::Answered(policy, _) => {
                let (answers, usage) = (vec![None; questions.len()], Usage::default());
                let (model, route) = (policy.name.clone(), Route::Answered(policy));
                return Ok(Weighed { model, route, answers, usage });
            }
        };
        let asking = Asking { experts: &*self.experts, call: &call, questions };
        let (model, first) = asking.first_of(willing(plan), trace).await?;
        let rest = stream::iter(1..questions.len()).map(|at| asking.ask(&model, at));
        let rest: Vec<_> = rest.buffered(ABREAST).try_collect().await?;
        let (answers, costs): (_, Vec<_>) =
            iter::once(first).chain(rest).map(|(logprobs, cost)| (Some(logprobs), cost)).unzip();
        let usage = costs.into_iter().fold(Usage::default(), add);
        Ok(Weighed { model, route, answers, usage })
    }
}

/// Those of a plan that can be asked for one answer. A judge has nothing to read here.
fn willing(plan: Plan) -> Vec<String> {
    match plan {
        Plan::Expert(expert) => vec![expert],
        Plan::Fallback(experts) | Plan::Consensus { members: experts, .. } => experts,
    }
}

/// The questions of one call, as the policies left it.
struct Asking<'c> {
    experts: &'c dyn Experts,
    call: &'c Call,
    questions: &'c [Labels],
}

/// The log probabilities of a question's labels, and what they cost.
type Answer = (Vec<f64>, Usage);

impl Asking<'_> {
    /// The text, with what policies put around it, and one question.
    fn prompt(&self, at: usize) -> Prompt {
        let belongs = |message: &signalbox_policy::Message| {
            message.origin.is_none_or(|origin| origin == 0 || origin == at + 1)
        };
        let turns = self.call.view.messages.iter().filter(|message| belongs(message));
        let turns: Vec<Message> = turns.map(|message| self.call.turn(message)).collect();
        turns.into()
    }

    /// Made when its turn comes, so that no more than a few copies of the text are there.
    async fn ask(&self, expert: &str, at: usize) -> Result<Answer, EngineError> {
        let request = Request {
            labels: self.questions[at].clone(),
            scope: self.call.caller.number(),
            priority: self.call.caller.priority(),
            progress: self.call.progress.clone(),
            ..Request::new(self.prompt(at))
        };
        weighed(self.experts, expert, request).await
    }

    /// The first expert that answers the first question, and its answer. When none does, the first one's error is the
    /// call's.
    async fn first_of(
        &self,
        experts: Vec<String>,
        trace: &mut Trace,
    ) -> Result<(String, Answer), Refusal> {
        let mut first = None;
        for expert in experts {
            match self.ask(&expert, 0).await {
                Ok(answer) => return Ok((expert, answer)),
                Err(error) => {
                    trace.tried(&expert, &error);
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.map_or(Refusal::NoExpert { failed: vec![] }, EngineError::into))
    }
}

/// What the labels of a request weigh, and what that cost.
pub(super) async fn weighed(
    experts: &dyn Experts,
    expert: &str,
    request: Request,
) -> Result<Answer, EngineError> {
    let Opened { first, mut tokens, .. } = open(experts, expert, request).await?;
    match (first, tokens.next().await) {
        (Event::Weighed(logprobs), Some(Event::Finished { usage, .. })) => Ok((logprobs, usage)),
        (_, Some(Event::Failed(error))) => Err(error),
        _ => Err(cut_off(expert)),
    }
}
