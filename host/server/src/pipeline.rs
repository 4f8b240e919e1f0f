//! One call from admission to its reply: admit, snapshot, pre, route, generate, post. Read this file first.
//!
//! Nothing under `pipeline/` knows HTTP or JSON: calls come in as plain data, replies go out as a
//! stream of plain pieces. [`run`](Pipeline::run) is the whole sequence; the files beside it are its
//! steps, in order: `call` (with `pictures`), `choose`, `generate` (with `consensus`), `stream`. Experts
//! are asked through [`Experts`], a trait of few functions; by policies, too, through `delegate`.

mod ask_cache;
pub(crate) mod call;
pub(crate) mod choice;
mod choose;
mod consensus;
mod convert;
mod deadline;
mod decide;
mod delegate;
mod embed;
pub(crate) mod end;
mod experts;
mod generate;
mod meter;
mod parameters;
mod pictures;
pub(crate) mod questions;
pub(crate) mod recall;
pub(crate) mod refusal;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod weights;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use signalbox_engine::{EngineError, Prompt, Tools};
use signalbox_policy::{ExpertView, Notes, Policies, PolicyRef, PreVerdict, Runs, Snapshot};
use tokio::runtime::Handle;
use tracing::Instrument;

pub(crate) use ask_cache::AskCache;
pub(crate) use call::{Attached, Bounds, Call, Form, TokenPrompt, Wishes};
use choice::Choice;
pub(crate) use choice::Route;
pub(crate) use choose::find_begun;
pub use convert::expert_view;
pub(crate) use deadline::Deadline;
pub(crate) use decide::Decided;
pub(crate) use embed::{Texts, Vectors};
pub(crate) use end::{End, Performance};
pub(crate) use experts::Experts;
pub(crate) use pictures::Pictures;
pub(crate) use questions::Labels;
pub(crate) use recall::Recall;
pub(crate) use refusal::{Refusal, Refused};
pub(crate) use stream::{Piece, Reply, Whole};
pub(crate) use weights::Weights;

use crate::{
    admission::{Admission, Permit},
    caller::Caller,
    decisions::{Decisions, Trace},
    otel::Asks,
    telemetry::Telemetry,
};
use delegate::ForCaller;
use meter::Meter;
use recall::Place;
use source::Source;

/// What every call passes through.
pub(crate) struct Pipeline {
    pub(crate) experts: Arc<dyn Experts>,
    pub(crate) policies: Policies,
    pub(crate) admission: Admission,
    pub(crate) decisions: Decisions,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) bounds: ArcSwap<Bounds>,
    /// Other names of experts, each with the id that it stands for.
    pub(crate) aliases: ArcSwap<BTreeMap<String, String>>,
    pub(crate) recall: Recall,
    /// What experts said to policies.
    pub(crate) ask_cache: Arc<AskCache>,
}

impl Pipeline {
    /// Until when a call that is let in now has to be answered.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.bounds.load().answer)
    }

    /// One call, from received to answering. Returns when the first token is there; dropping the
    /// reply cancels what is still to come.
    ///
    /// # Errors
    /// Everything known before the first token. What goes wrong later ends the reply.
    pub(crate) async fn answer(
        &self,
        mut call: Call,
        permit: Permit,
        deadline: Deadline,
    ) -> Result<Reply, Refused> {
        // Of several replies to one call each has its own.
        (call.view.notes, call.view.runs) = (Notes::default(), Runs::default());
        let permit = permit.charging(call.caller.charged(&call.progress));
        let (mut trace, streaming) = (self.decisions.begin(&call), call.view.streaming);
        let span = trace.span();
        let run = self.run(call, &mut trace).instrument(span);
        match deadline.within(run).await.flatten() {
            Ok(Answering { route, source, tools }) => {
                let meter = Meter::begin(&source.model, trace, self.telemetry.clone());
                Ok(Reply::new(route, source, deadline, meter, permit).calling(tools, streaming))
            }
            Err(refusal) => Err(trace.refused(refusal)),
        }
    }

    /// Whom a call would reach if no policy had a say, and the prompt that this expert would get: for those
    /// who want no reply.
    pub(crate) fn addressed(&self, mut call: Call) -> Result<(String, Prompt), Refusal> {
        self.name_expert(&mut call)?;
        let menu = self.menu(&call.caller);
        let expert = choose::unrouted(&menu, call.view.model.as_deref(), call.has_images())?;
        Ok((expert, convert::request(&call, &self.bounds.load()).prompt))
    }

    /// Whom a call that names this expert, or none, would reach if no policy had a say.
    pub(crate) fn unrouted(&self, caller: &Caller, named: Option<&str>) -> Result<String, Refusal> {
        let meant = named.map(|named| self.meant(named).unwrap_or_else(|| named.to_owned()));
        meant.as_deref().map_or(Ok(()), |expert| self.allow(caller, expert))?;
        choose::unrouted(&self.menu(caller), meant.as_deref(), false)
    }

    /// The id of the expert that a name stands for: it is one, or one with a tag, or an alias of one.
    pub(crate) fn meant(&self, named: &str) -> Option<String> {
        let menu = self.experts.menu();
        let ids = menu.iter().map(|expert| expert.id.as_str());
        let aliases = self.aliases.load();
        let alias = choose::find(named, aliases.keys().map(String::as_str));
        let alias = alias.and_then(|alias| aliases.get(alias)).map(String::as_str);
        choose::find(named, ids).or(alias).map(str::to_owned)
    }

    /// The experts that a caller may ask, in the operator's order.
    pub(crate) fn menu(&self, caller: &Caller) -> Vec<ExpertView> {
        let mut menu = self.experts.menu();
        menu.retain(|expert| caller.may_ask(&expert.id));
        menu
    }

    /// Policies see the expert under its own name, whatever the client calls it.
    fn name_expert(&self, call: &mut Call) -> Result<(), Refusal> {
        if let Some(id) = call.view.model.as_deref().and_then(|named| self.meant(named)) {
            self.allow(&call.caller, &id)?;
            call.view.model = Some(id);
        }
        Ok(())
    }

    /// Whether a caller may ask this expert.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] names those that it may ask.
    pub(crate) fn allow(&self, caller: &Caller, expert: &str) -> Result<(), Refusal> {
        if caller.may_ask(expert) {
            return Ok(());
        }
        let allowed = self.menu(caller).into_iter().map(|expert| expert.id).collect();
        Err(Refusal::NotAllowed { asked: expert.to_owned(), allowed })
    }

    /// The steps in order.
    async fn run(&self, call: Call, trace: &mut Trace) -> Result<Answering, Refusal> {
        // Fixed for this call, whatever is swapped now.
        let policies = self.policies.snapshot_of(&call.caller.stickiness(&call.view.id));
        let seats = policies.seats()?; // or none at all: no reply is cut off for want of room
        if call.wishes.logprobs.is_some() && !seats.is_empty() {
            return Err(unexamined().into());
        }
        let (mut call, place, choice) = match self.routed(call, &policies, trace).await? {
            Routed::Chosen { call, place, choice } => (*call, place, choice),
            Routed::Answered(policy, text) => {
                let (route, tools) = (Route::Answered(policy.clone()), Arc::default());
                return Ok(Answering { route, source: Source::said(policy.name, text), tools });
            }
        };
        let (experts, bounds) = (self.experts.as_ref(), self.bounds.load_full());
        let source = generate::generate(experts, &bounds, &choice.plan, &call, trace).await?;
        self.recall.answered(place, &source.model);
        call.view.on_behalf = self.delegate(&call.caller, None, trace.asks()).lent();
        let post = seats.post(&call.view, &source.model);
        let source = source.through(post); // a stream, so the first token is not kept waiting
        Ok(Answering { route: choice.route, source, tools: call.wishes.tools })
    }

    /// Through the `pre` policies, and who is to answer.
    async fn routed(
        &self,
        mut call: Call,
        policies: &Snapshot,
        trace: &mut Trace,
    ) -> Result<Routed, Refusal> {
        self.name_expert(&mut call)?;
        let place = self.describe(&mut call);
        trace.shown(&call.view);
        let shown = call.view.parameters.clone();
        self.lend(&mut call, trace.asks());
        let mut call = match policies.pre(std::mem::take(&mut call.view)).await? {
            PreVerdict::Proceed(view) => {
                parameters::applied(Call { view, ..call }, &shown).with_images_described()
            }
            PreVerdict::Answer { policy, text, .. } => {
                trace.answered_by(&policy);
                return Ok(Routed::Answered(policy, text));
            }
        };
        trace.examined();
        self.lend(&mut call, trace.asks());
        let menu = self.menu(&call.caller);
        trace.routing(&call.view, &menu);
        let choice = choose::choose(menu, policies, &call).await?;
        trace.chose(&choice);
        Ok(Routed::Chosen { call: Box::new(call), place, choice })
    }

    /// Tells policies what is known of the call beyond its words; and where the conversation stands.
    fn describe(&self, call: &mut Call) -> Place {
        call.view.parameters = parameters::shown(call);
        call.view.sender = call.caller.sender();
        call.view.previous_expert = self.recall.previous(&call.view);
        self.recall.place(&call.view)
    }
}

impl Pipeline {
    /// Lets policies ask experts about a call that nobody answers yet; what they ask goes into its trace.
    fn lend(&self, call: &mut Call, asks: Asks) {
        let about = signalbox_policy::Call {
            parameters: call.view.parameters.clone(),
            ..signalbox_policy::Call::default()
        };
        let unanswered = Call { view: about, ..call.unseen() };
        call.view.on_behalf = self.delegate(&call.caller, Some(unanswered), asks).lent();
    }

    fn delegate(&self, caller: &Caller, unanswered: Option<Call>, asks: Asks) -> ForCaller {
        ForCaller {
            experts: self.experts.clone(),
            cache: self.ask_cache.clone(),
            bounds: self.bounds.load_full(),
            caller: caller.clone(),
            unanswered,
            asks,
            runtime: Handle::current(),
        }
    }
}

/// How far a call comes before an expert is asked.
enum Routed {
    /// A `pre` policy answered by itself.
    Answered(PolicyRef, String),
    /// As policies left it.
    Chosen { call: Box<Call>, place: Place, choice: Choice },
}

/// A reply that begins.
struct Answering {
    route: Route,
    source: Source,
    /// What it may call.
    tools: Arc<Tools>,
}

/// Tokens come as the expert draws them, so they would say what a policy takes out of the text.
fn unexamined() -> EngineError {
    let message = "log probabilities would show what a policy has not examined; leave 'logprobs' out, or ask \
                   for a reply instead of decisions";
    let message = message.to_owned();
    EngineError::InvalidRequest { message }
}
