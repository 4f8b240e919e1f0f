//! Plans carried out by toy experts; what experts can do wrong is in `scripted`.

mod scripted;

use std::{path::Path, sync::Arc, time::Duration};

use signalbox_engine::{
    Ends, ExpertSettings, Fleet, FleetLimits, FleetSettings, LazyLoading, PackFiles, Progress,
    Quantization, Sampling, Templates,
};
use signalbox_policy::{Compile, ConsensusMode, Message, Plan, PolicySettings};
use tokio::runtime::Runtime;

use super::{
    Call, Deadline, End, Form, Pictures, Reply, Route, Whole, Wishes, end::Ending, generate,
    meter::Meter, source::Source,
};
use crate::{
    App, ServerSettings,
    caller::Caller,
    decisions::{Record, Trace},
};

const GENERAL: &str = "phi4_fast";
const TECHNICAL: &str = "mistral_balanced";
const BROKEN: &str = "missing";

/// A server without listeners, and the runtime it lives on.
struct Bench {
    runtime: Runtime,
    app: App,
    _registry: tempfile::TempDir,
}

/// What a plan came to.
type Outcome = Result<(String, End), String>;

impl Bench {
    fn new() -> Self {
        let registry = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let experts = [GENERAL, TECHNICAL, BROKEN].map(expert).to_vec();
        let lazy_loading = LazyLoading {
            enabled: true,
            warmup_pool_size: 0,
            max_loaded_experts: 3,
            auto_unload_after: None,
            prefetch: false,
        };
        let fleet = FleetSettings {
            experts,
            lazy_loading,
            memory_bytes_max: 1 << 30,
            limits: FleetLimits { queue_max: 8 },
            templates: Templates::InProcess,
            pack_files: PackFiles::Off,
        };
        let policies = PolicySettings::new(registry.path(), Compile::InProcess);
        let app = App::open(Fleet::start(fleet), policies, ServerSettings::default()).unwrap();
        drop(inside);
        Self { runtime, app, _registry: registry }
    }

    /// Carries a plan out for "Hello", and shows what was logged.
    fn carry_out(&self, plan: &Plan) -> (Outcome, Arc<Record>) {
        let call = call("Hello");
        let outcome = self.runtime.block_on(async {
            let pipeline = self.app.pipeline();
            let mut trace = pipeline.decisions.begin(&call);
            let (experts, bounds) = (pipeline.experts.as_ref(), &pipeline.bounds.load());
            let source = generate::generate(experts, bounds, plan, &call, &mut trace).await;
            let source = source.map_err(|refusal| refusal.to_string())?;
            let whole = reply(&self.app, source, trace, DEADLINE).whole().await;
            let whole = whole.map_err(|refusal| refusal.to_string())?;
            Ok((whole.text, whole.end))
        });
        (outcome, self.app.pipeline().decisions.recent(1).remove(0))
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

fn reply(app: &App, source: Source, trace: Trace, within: Duration) -> Reply {
    let pipeline = app.pipeline();
    let meter = Meter::begin(&source.model, trace, pipeline.telemetry.clone());
    let permit = pipeline.admission.admit(&Caller::at(None)).unwrap();
    Reply::new(Route::Client, source, Deadline::after(within), meter, permit)
}

fn expert(id: &str) -> ExpertSettings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(id);
    ExpertSettings {
        quantization: Some(Quantization::Awq),
        max_num_seqs: 2,
        ..ExpertSettings::new(id, path)
    }
}

fn call(text: &str) -> Call {
    let message = Message { role: "user".to_owned(), content: text.to_owned(), origin: Some(0) };
    let view = signalbox_policy::Call {
        messages: vec![message],
        temperature: Some(0.0),
        max_tokens: Some(40),
        ..signalbox_policy::Call::default()
    };
    let (pictures, form) = (Pictures::default(), Form::Chat);
    Call {
        view,
        caller: Caller::at(None),
        pictures,
        wishes: Wishes::default(),
        form,
        sampling: Sampling::default(),
        stop: vec![],
        ends: Ends::default(),
        progress: Progress::default(),
    }
}

fn names(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn consensus(members: &[&str], judge: Option<&str>, mode: ConsensusMode) -> Plan {
    Plan::Consensus { members: names(members), judge: judge.map(str::to_owned), mode }
}

fn tried(record: &Record) -> Vec<String> {
    let json = serde_json::to_value(record).unwrap();
    let tried = json["tried"].as_array().unwrap().iter();
    tried.map(|tried| tried["expert"].as_str().unwrap().to_owned()).collect()
}

fn plain_answer(bench: &Bench) -> (String, End) {
    bench.carry_out(&Plan::Expert(GENERAL.to_owned())).0.unwrap()
}

#[test]
fn a_fallback_moves_on_to_the_first_that_can_answer() {
    let bench = Bench::new();
    let (expected, _) = plain_answer(&bench);
    let (outcome, record) = bench.carry_out(&Plan::Fallback(names(&[BROKEN, GENERAL])));
    assert_eq!(outcome.unwrap().0, expected);
    assert_eq!(tried(&record), [BROKEN]);
    let (outcome, record) = bench.carry_out(&Plan::Fallback(names(&[BROKEN, BROKEN])));
    assert!(outcome.unwrap_err().contains(BROKEN));
    assert_eq!(tried(&record), [BROKEN, BROKEN]);
}

#[test]
fn a_consensus_leaves_a_failing_member_out_and_sums_what_all_spent() {
    let bench = Bench::new();
    let alone = plain_answer(&bench).1.usage.unwrap();
    let plan = consensus(&[GENERAL, BROKEN], Some(TECHNICAL), ConsensusMode::Parallel);
    let (outcome, record) = bench.carry_out(&plan);
    let (_, end) = outcome.unwrap();
    assert_eq!(tried(&record), [BROKEN]);
    assert!(matches!(end.ending, Ending::Expert(_)), "{end:?}");
    let usage = end.usage.unwrap();
    assert!(usage.prompt_tokens > 2 * alone.prompt_tokens, "{usage:?} {alone:?}");
    assert!(usage.completion_tokens > alone.completion_tokens, "{usage:?} {alone:?}");
    let expert = serde_json::to_value(&*record).unwrap()["expert"].clone();
    assert_eq!(expert, TECHNICAL);
}

#[test]
fn in_turns_each_member_reads_the_answers_before_its_own() {
    let bench = Bench::new();
    let spent = |mode| {
        let plan = consensus(&[GENERAL, GENERAL], Some(BROKEN), mode);
        bench.carry_out(&plan).0.unwrap().1.usage.unwrap().prompt_tokens
    };
    let (parallel, turns) = (spent(ConsensusMode::Parallel), spent(ConsensusMode::Turns));
    assert!(turns > parallel, "{turns} {parallel}");
}

#[test]
fn without_a_judge_that_can_begin_the_first_answer_stands() {
    let bench = Bench::new();
    let (expected, alone) = plain_answer(&bench);
    let plan = consensus(&[GENERAL, GENERAL], Some(BROKEN), ConsensusMode::Parallel);
    let (outcome, record) = bench.carry_out(&plan);
    let (text, end) = outcome.unwrap();
    assert_eq!((text, tried(&record)), (expected, names(&[BROKEN])));
    let (usage, alone) = (end.usage.unwrap(), alone.usage.unwrap());
    assert_eq!(usage.completion_tokens, 2 * alone.completion_tokens);
}

#[test]
fn a_consensus_of_none_is_an_error() {
    let bench = Bench::new();
    let plan = consensus(&[BROKEN, BROKEN], Some(GENERAL), ConsensusMode::Turns);
    assert!(bench.carry_out(&plan).0.unwrap_err().contains(BROKEN));
}

#[test]
fn a_policys_own_answer_costs_no_tokens() {
    let bench = Bench::new();
    let Whole { text, end, .. } = bench.runtime.block_on(async {
        let pipeline = bench.app.pipeline();
        let trace = pipeline.decisions.begin(&call("Hello"));
        let source = Source::said("greeter".to_owned(), "Good day".to_owned());
        reply(&bench.app, source, trace, DEADLINE).whole().await.unwrap()
    });
    assert_eq!((text.as_str(), end.usage.unwrap().completion_tokens), ("Good day", 0));
    assert!(end.performance.engine.is_none(), "nothing was measured");
}
