//! What clients see of experts that fail in the middle, stall or crawl: experts by script.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use signalbox_engine::{
    EmbedRequest, Embedded, EngineError, Event, Finish, Prompt, Request, Timings, Usage,
};
use signalbox_policy::{ExpertState, ExpertView, Policies, TokenError, World};
use tokio::time::sleep;

use super::*;
use crate::{
    admission::Admission,
    decisions::Decisions,
    pipeline::{Bounds, Experts, Piece, Pipeline, Recall, Refusal, experts::Tokens},
    telemetry::Telemetry,
};

/// One thing that an expert does.
#[derive(Clone)]
enum Step {
    Say(&'static str),
    Wait(Duration),
    Fail,
    End,
    /// Ends without saying so.
    Vanish,
}

use Step::{End as Done, Fail, Say, Vanish, Wait};

/// Experts that follow a script, and how many of them are at it.
#[derive(Default)]
struct Scripts {
    scripts: HashMap<&'static str, Vec<Step>>,
    at_work: Arc<AtomicUsize>,
}

/// Counts while an expert is at work.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn crashed(expert: &str) -> EngineError {
    EngineError::Crashed { expert: expert.to_owned(), problem: "by script".to_owned() }
}

fn view(id: &str) -> ExpertView {
    ExpertView {
        id: id.to_owned(),
        domain: "general".to_owned(),
        description: String::new(),
        priority: 1,
        capabilities: vec!["chat".to_owned()],
        context_length: 1024,
        state: ExpertState::Resident,
        resident_bytes: 0,
        queue_depth: 0,
        estimated_wait_ms: None,
        estimated_load_ms: None,
        tokens_per_second: None,
    }
}

#[async_trait]
impl Experts for Scripts {
    fn menu(&self) -> Vec<ExpertView> {
        self.scripts.keys().map(|id| view(id)).collect()
    }

    async fn generate(&self, expert: &str, _request: Request) -> Result<Tokens, EngineError> {
        let unknown = || EngineError::UnknownExpert { expert: expert.to_owned() };
        let script = self.scripts.get(expert).ok_or_else(unknown)?.clone();
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let run = Run {
            name: expert.to_owned(),
            left: script.into_iter(),
            _at_work: AtWork(self.at_work.clone()),
        };
        Ok(stream::unfold(run, Run::next).boxed())
    }

    async fn embed(&self, expert: &str, _: EmbedRequest) -> Result<Embedded, EngineError> {
        Err(EngineError::NoVectors { expert: Some(expert.to_owned()), encoding: vec![] })
    }

    async fn count(&self, _: &str, text: String) -> Result<u32, EngineError> {
        Ok(text.split_whitespace().count() as u32)
    }

    async fn cached(&self, _: &str, _: u64, _: Prompt) -> Result<u32, EngineError> {
        Ok(0)
    }

    fn edition(&self, _: &str) -> Option<(u64, u64)> {
        None
    }
}

/// A script under way.
struct Run {
    name: String,
    left: std::vec::IntoIter<Step>,
    _at_work: AtWork,
}

impl Run {
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            let event = match self.left.next()? {
                Wait(time) => {
                    sleep(time).await;
                    continue;
                }
                Say(text) => Event::Text(text.to_owned()),
                Fail => Event::Failed(crashed(&self.name)),
                Vanish => return None,
                Done => Event::Finished {
                    reason: Finish::Stop,
                    usage: Usage { prompt_tokens: 3, cached_tokens: 0, completion_tokens: 2 },
                    timings: Timings::default(),
                },
            };
            return Some((event, self));
        }
    }
}

struct Nowhere;

#[async_trait]
impl World for Nowhere {
    fn menu(&self) -> Vec<ExpertView> {
        Vec::new()
    }

    async fn count_tokens(&self, _: String, _: Option<String>) -> Result<u32, TokenError> {
        Err(TokenError::Unavailable("nobody counts here".to_owned()))
    }
}

/// A pipeline whose experts follow scripts.
struct Bed {
    runtime: Runtime,
    pipeline: Pipeline,
    at_work: Arc<AtomicUsize>,
    _registry: tempfile::TempDir,
}

impl Bed {
    fn new(scripts: &[(&'static str, &[Step])], answer: Duration) -> Self {
        let registry = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let settings = PolicySettings::new(registry.path(), Compile::InProcess);
        let scripts = scripts.iter().map(|(id, steps)| (*id, steps.to_vec())).collect();
        let experts = Scripts { scripts, at_work: Arc::default() };
        let at_work = experts.at_work.clone();
        let pipeline = Pipeline {
            experts: Arc::new(experts),
            policies: Policies::open(settings, Arc::new(Nowhere)).unwrap(),
            admission: Admission::new(4, [].into_iter()),
            decisions: Decisions::in_memory(10, 1 << 20),
            telemetry: Arc::new(Telemetry::new()),
            bounds: ArcSwap::from_pointee(Bounds {
                answer,
                tokens_default: 8,
                tokens_max: 8,
                member_tokens_max: 8,
                ask_cache_bytes_max: 0,
            }),
            aliases: arc_swap::ArcSwap::default(),
            recall: Recall::default(),
            ask_cache: Arc::default(),
        };
        drop(inside);
        Self { runtime, pipeline, at_work, _registry: registry }
    }

    /// Asks `expert`, and reads to the end: the pieces, in words.
    fn ask(&self, expert: &str) -> Vec<String> {
        let mut call = call("Hello");
        call.view.model = Some(expert.to_owned());
        self.runtime.block_on(async {
            let permit = self.pipeline.admission.admit(&Caller::at(None)).unwrap();
            let answer = self.pipeline.answer(call, permit, self.pipeline.deadline()).await;
            let mut reply = match answer {
                Ok(reply) => reply,
                Err(refused) => return vec![format!("refused: {}", refused.refusal)],
            };
            let mut pieces = Vec::new();
            while let Some(piece) = reply.next().await {
                pieces.push(match piece {
                    Piece::Text(text) => text,
                    other @ (Piece::Call(_) | Piece::Arguments(_) | Piece::Logprobs(_)) => {
                        format!("{other:?}")
                    }
                    Piece::End(end) => format!("{:?} {:?}", end.ending, end.usage.unwrap()),
                    Piece::Failed(refused) => format!("failed: {}", refused.refusal),
                });
            }
            pieces
        })
    }

    /// Asks `expert` for a whole reply.
    fn whole(&self, expert: &str) -> Result<(String, End), String> {
        let mut call = call("Hello");
        call.view.model = Some(expert.to_owned());
        self.runtime.block_on(async {
            let permit = self.pipeline.admission.admit(&Caller::at(None)).unwrap();
            let answer = self.pipeline.answer(call, permit, self.pipeline.deadline()).await;
            let reply = answer.map_err(|refused| refused.to_string())?;
            let whole = reply.whole().await.map_err(|refused| refused.to_string())?;
            Ok((whole.text, whole.end))
        })
    }

    /// How the newest call was logged.
    fn logged(&self) -> String {
        let record = self.pipeline.decisions.recent(1).remove(0);
        serde_json::to_value(&*record).unwrap()["outcome"].as_str().unwrap().to_owned()
    }
}

const AMPLE: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(80);
const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_reply_is_its_texts_and_how_it_ended() {
    let bed = Bed::new(&[("a", &[Say("one "), Say("two"), Done])], AMPLE);
    let end = "Expert(Stop) Usage { prompt_tokens: 3, cached_tokens: 0, completion_tokens: 2 }";
    assert_eq!(bed.ask("a"), ["one ", "two", end]);
    assert_eq!(bed.logged(), "completed");
}

#[test]
fn an_expert_that_fails_before_its_first_token_is_a_refusal() {
    let bed = Bed::new(&[("a", &[Fail]), ("b", &[Vanish])], AMPLE);
    let refused = |expert: &str, why: &str| {
        assert_eq!(
            bed.ask(expert),
            [format!(
                "refused: {}",
                Refusal::from(EngineError::Crashed {
                    expert: expert.to_owned(),
                    problem: why.to_owned(),
                })
            )]
        );
        assert_eq!(bed.logged(), "refused");
    };
    refused("a", "by script");
    refused("b", "its reply ended without an end");
}

#[test]
fn an_expert_that_fails_in_the_middle_keeps_what_was_said() {
    for (last, why) in [(Fail, "by script"), (Vanish, "its reply ended without an end")] {
        let bed = Bed::new(&[("a", &[Say("one "), last])], AMPLE);
        let pieces = bed.ask("a");
        assert_eq!(pieces[0], "one ");
        assert!(pieces[1].starts_with("failed: ") && pieces[1].contains(why), "{pieces:?}");
        assert_eq!((pieces.len(), bed.logged().as_str()), (2, "failed"));
    }
}

#[test]
fn an_expert_that_stalls_ends_at_the_deadline() {
    let bed =
        Bed::new(&[("silent", &[Wait(FOREVER)]), ("stalls", &[Say("one "), Wait(FOREVER)])], BRIEF);
    let pieces = bed.ask("silent");
    assert!(pieces[0].starts_with("refused: the reply took longer"), "{pieces:?}");
    let pieces = bed.ask("stalls");
    assert_eq!(pieces[0], "one ");
    assert!(pieces[1].starts_with("failed: the reply took longer"), "{pieces:?}");
    assert_eq!(bed.at_work.load(Ordering::SeqCst), 0, "both were cancelled");
}

#[test]
fn a_reply_is_bounded_in_silence_and_not_in_length() {
    let step = [Say("x"), Wait(BRIEF / 4)];
    let crawls = step.iter().cycle().take(40).cloned().chain([Done]);
    let bed = Bed::new(&[("crawls", &crawls.collect::<Vec<Step>>())], BRIEF);
    let pieces = bed.ask("crawls");
    assert_eq!(pieces.len(), 21, "longer than the bound, and whole: {pieces:?}");
    assert!(pieces[20].starts_with("Expert(Stop)"), "{pieces:?}");
}

#[test]
fn what_was_said_before_a_silence_stands_in_a_whole_reply() {
    let bed = Bed::new(&[("stalls", &[Say("one "), Say("two"), Wait(FOREVER)])], BRIEF);
    let (text, end) = bed.whole("stalls").unwrap();
    assert_eq!((text.as_str(), end.ending), ("one two", Ending::Expert(Finish::Length)));
    assert_eq!(bed.logged(), "failed");
}

#[test]
fn a_client_that_leaves_ends_the_generation() {
    let bed = Bed::new(&[("a", &[Say("one "), Wait(FOREVER)])], AMPLE);
    bed.runtime.block_on(async {
        let mut call = call("Hello");
        call.view.model = Some("a".to_owned());
        let permit = bed.pipeline.admission.admit(&Caller::at(None)).unwrap();
        let answer = bed.pipeline.answer(call, permit, bed.pipeline.deadline()).await;
        let reply = answer.map_err(|refused| refused.to_string()).unwrap();
        assert_eq!(bed.at_work.load(Ordering::SeqCst), 1);
        drop(reply);
    });
    assert_eq!(bed.at_work.load(Ordering::SeqCst), 0);
    assert_eq!(bed.logged(), "cancelled");
    assert_eq!(bed.pipeline.admission.in_flight(), 0);
}
