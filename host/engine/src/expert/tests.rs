//! A reply is the same whatever else the expert does: alone, in company, behind a beginning that was computed for
//! another, with guesses, and after its memory went to others. Each is held against decoding token by token.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed, mpsc},
    time::Instant,
};

use serde_json::json;
use signalbox_kernels::Compute;

use super::*;
use crate::{
    Event, Priority, Progress, TokenStream, Usage,
    checkpoint::Checkpoint,
    constraint::Constraint,
    executor::Executor,
    model::Chunk,
    prompt_format::{PromptFormat, tests::toy_format},
    sampler::{Rules, Sampler},
    tokenizer::{Detokenizer, Stops, tests::toy},
    tools::{CallReader, Said, Tool, Tools},
};

const TOY: &str = "qwen_coder";

fn model() -> Model {
    Checkpoint::open(&toy(TOY)).unwrap().load(&Compute::serving()).unwrap()
}

fn hand_over(expert: &Expert, job: Box<Job>) {
    let Commands::Replies(inbox) = expert.commands() else { panic!("it makes vectors") };
    assert!(inbox.submit(job).is_ok());
}

/// Replies of one length, to prompts that begin alike.
struct Scene {
    format: Arc<PromptFormat>,
    tokens: u32,
    rules: Rules,
    tools: Arc<Tools>,
    bias: Vec<(u32, f32)>,
}

impl Scene {
    fn new(tokens: u32, temperature: f32) -> Self {
        let rules = Rules { temperature, seed: Some(7), ..Rules::default() };
        let (tools, bias) = (Arc::default(), Vec::new());
        Self { format: Arc::new(toy_format(TOY)), tokens, rules, tools, bias }
    }

    /// The same, in which the expert calls a strict tool whenever it may.
    fn calling(tokens: u32, temperature: f32) -> Self {
        let parameters = json!({
            "type": "object", "required": ["city"], "additionalProperties": false,
            "properties": { "city": { "enum": ["Bilbao", "Vigo", "Berlin"] } },
        });
        let (name, description, strict) = ("weather".to_owned(), None, true);
        let offered = vec![Tool { name, description, parameters, strict }];
        let scene = Self::new(tokens, temperature);
        let mark = scene.format.tokenizer.id("<tool_call>").unwrap();
        let tools = Arc::new(Tools { offered, ..Tools::default() });
        Self { tools, bias: vec![(mark, 100.0)], ..scene }
    }

    fn constraint(&self) -> Option<Constraint> {
        self.format.compiler.calls(&self.tools).unwrap()
    }

    /// The same hundred tokens and then others.
    fn prompt(which: u32) -> Vec<u32> {
        (0..100).map(|at| 20 + at % 60).chain([30 + which, 31, 32 + which]).collect()
    }

    /// Token by token, from the first on.
    fn plainly(&self, model: &Model, which: u32) -> String {
        let (mut cache, mut tokens) = (model.new_cache(300), Self::prompt(which));
        let mut sampler = Sampler::new(self.rules, &tokens).biased(self.bias.clone());
        let mut constraint = self.constraint();
        let mut words = Detokenizer::new(self.format.tokenizer.clone());
        let (mut fed, mut text) = (0, String::new());
        for _ in 0..self.tokens {
            let mut logits = Vec::new();
            for token in tokens[fed..].chunks(1) {
                let chunk = Chunk { cache: &mut cache, tokens: token, wanted: 1, pictures: &[] };
                logits = model.forward(&mut [chunk]).remove(0);
            }
            fed = tokens.len();
            let mask = constraint.as_mut().and_then(|constraint| constraint.mask().unwrap());
            let token = sampler.sample(&mut logits, mask.as_ref(), &BTreeSet::new()).unwrap();
            constraint.iter_mut().for_each(|constraint| constraint.accept(token).unwrap());
            text += &words.push(token);
            tokens.push(token);
        }
        text + &words.finish()
    }

    /// What labels weigh behind a prompt, token by token, from the first on.
    fn weighed_plainly(model: &Model, which: u32) -> Vec<f64> {
        let weigh = |label: Vec<Vec<u32>>| {
            let (mut cache, mut fed, mut logprob) = (model.new_cache(300), 0, 0.0);
            let prompt = Self::prompt(which);
            let tokens = [&prompt[..], &label[0]].concat();
            for (at, token) in tokens.iter().enumerate().skip(prompt.len()) {
                let mut logits = Vec::new();
                for token in tokens[fed..at].chunks(1) {
                    let chunk =
                        Chunk { cache: &mut cache, tokens: token, wanted: 1, pictures: &[] };
                    logits = model.forward(&mut [chunk]).remove(0);
                }
                logprob += logprobs::Distribution::of(&logits).unwrap().logprob(*token);
                fed = at;
            }
            logprob
        };
        Self::labels().into_iter().map(weigh).collect()
    }

    /// Some of one token, some that begin alike.
    fn labels() -> Vec<Vec<Vec<u32>>> {
        let tokens: [&[u32]; 6] =
            [&[40], &[41, 40], &[41, 42, 43], &[41, 42, 44], &[45, 40], &[46]];
        tokens.map(|tokens| vec![tokens.to_vec()]).into()
    }

    /// Asks what labels weigh, instead of a reply.
    fn question(&self, which: u32) -> (Box<Job>, TokenStream) {
        let (mut job, stream) = self.job(which);
        let weighing = Weighing::new(Self::labels());
        job.max_tokens = weighing.longest();
        job.weighing = Some(weighing);
        (job, stream)
    }

    fn job(&self, which: u32) -> (Box<Job>, TokenStream) {
        let prompt = Self::prompt(which);
        let (events, stream) = TokenStream::open(TOY, prompt.len() as u32);
        let job = Job {
            sampler: Sampler::new(self.rules, &prompt).biased(self.bias.clone()),
            prompt,
            images: Vec::new(),
            prediction: Vec::new(),
            scope: 1,
            priority: Priority::Normal,
            max_tokens: self.tokens,
            min_tokens: 0,
            stops: Stops::new(&[]).unwrap(),
            constraint: self.constraint(),
            weighing: None,
            logprobs: None,
            ends: BTreeSet::new(),
            prompt_format: self.format.clone(),
            events,
            progress: Progress::default(),
            submitted: Instant::now(),
            loading: None,
            _hold: Box::new(()),
        };
        (Box::new(job), stream)
    }
}

fn start(kv_blocks: usize) -> (Expert, Arc<Counters>) {
    start_with(8, kv_blocks)
}

fn start_with(sequences: usize, kv_blocks: usize) -> (Expert, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let bounds = Bounds { sequences, kv_blocks, guesses: true };
    let seat = Arc::new(Executor::default()).seat();
    let expert = Expert::spawn(TOY, model(), bounds, counters.clone(), seat, |_| {}).unwrap();
    (expert, counters)
}

async fn read(mut stream: TokenStream) -> (String, Usage) {
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Event::Text(piece) => text += &piece,
            Event::Finished { usage, .. } => return (text, usage),
            Event::Failed(error) => return (error.to_string(), Usage::default()),
            Event::Logprobs(_) | Event::Weighed(_) => {}
        }
    }
    (text, Usage::default())
}

/// Eight prompts, one after the other or all at once, with memory for so many blocks.
async fn check(temperature: f32, at_once: bool, kv_blocks: usize) -> Arc<Counters> {
    let (scene, model) = (Scene::new(120, temperature), model());
    let (expert, counters) = start(kv_blocks);
    let mut streams = Vec::new();
    for which in 0..8 {
        let (job, stream) = scene.job(which);
        hand_over(&expert, job);
        match at_once {
            true => streams.push((which, stream)),
            false => assert_eq!(read(stream).await.0, scene.plainly(&model, which), "{which}"),
        }
    }
    for (which, stream) in streams {
        let (text, usage) = read(stream).await;
        assert_eq!(text, scene.plainly(&model, which), "{which} of eight at once");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (103, 120));
    }
    counters
}

/// Room for all of them.
const ROOMY: usize = 10_000;

#[tokio::test]
async fn one_after_the_other_begins_where_the_first_had_begun() {
    for temperature in [0.0, 0.9] {
        let counters = check(temperature, false, ROOMY).await;
        assert_eq!(counters.cached_tokens.load(Relaxed), 7 * 100, "of the seven that came later");
    }
}

#[tokio::test]
async fn in_company_a_beginning_is_computed_once() {
    for temperature in [0.0, 0.9] {
        let counters = check(temperature, true, ROOMY).await;
        assert_eq!(counters.cached_tokens.load(Relaxed), 7 * 100);
        assert_eq!(counters.yielded.load(Relaxed), 0);
    }
}

#[tokio::test]
async fn where_memory_is_short_the_youngest_wait_and_say_the_same() {
    let layers = model().spec().layers.len();
    // One sequence takes four blocks of each layer, of which it shares one.
    let counters = check(0.9, true, 9 * layers).await;
    assert!(counters.yielded.load(Relaxed) > 0);
}

#[tokio::test]
async fn guesses_that_are_right_are_kept_and_others_change_nothing() {
    let counters = check(0.0, false, ROOMY).await;
    let [guessed, right] =
        [&counters.guessed, &counters.guessed_right].map(|counter| counter.load(Relaxed));
    assert!(right > 0 && right <= guessed, "{right} of {guessed}");
}

/// Calls of a strict tool, one after the other in each of four replies that run together, with guesses: each is one of
/// its schema, and the replies are what they are token by token.
#[tokio::test]
async fn calls_of_strict_tools_are_held_whatever_else_the_expert_does() {
    for temperature in [0.0, 0.9] {
        let (scene, model) = (Scene::calling(240, temperature), model());
        let (expert, _) = start(ROOMY);
        let streams = [0, 1, 2, 3].map(|which| {
            let (job, stream) = scene.job(which);
            hand_over(&expert, job);
            (which, stream)
        });
        for (which, stream) in streams {
            let (text, _) = read(stream).await;
            assert_eq!(text, scene.plainly(&model, which), "{which}");
            let mut reader = CallReader::new(scene.tools.clone());
            let said = reader.push(&text);
            assert!(!said.is_empty(), "{text}");
            for said in said {
                let Said::Call(call) = said else { panic!("{said:?} in {text:?}") };
                let city = call.value()["city"].clone();
                assert!(
                    ["Bilbao", "Vigo", "Berlin"].map(|city| json!(city)).contains(&city),
                    "{text}"
                );
            }
        }
    }
}

async fn weighed(mut stream: TokenStream) -> Vec<f64> {
    let first = stream.next().await;
    assert!(matches!(&first, Some(Event::Weighed(_))), "{first:?}");
    let Some(Event::Weighed(logprobs)) = first else { return vec![] };
    let finished = stream.next().await;
    let generated = |usage: &Usage| usage.completion_tokens;
    assert!(matches!(&finished, Some(Event::Finished { usage, .. }) if generated(usage) == 0));
    logprobs
}

/// Eight questions one after the other, and then all at once beside eight replies, with memory for so many blocks.
async fn check_questions(kv_blocks: usize) -> Arc<Counters> {
    let (scene, model) = (Scene::new(40, 0.9), model());
    let (expert, counters) = start(kv_blocks);
    let ask = |(job, stream)| {
        hand_over(&expert, job);
        stream
    };
    for which in 0..8 {
        let alone = weighed(ask(scene.question(which))).await;
        assert_eq!(alone, Scene::weighed_plainly(&model, which), "{which} alone");
    }
    let both = |which| (which, ask(scene.job(which)), ask(scene.question(which)));
    for (which, reply, question) in (0..8).map(both).collect::<Vec<_>>() {
        let beside = weighed(question).await;
        assert_eq!(beside, Scene::weighed_plainly(&model, which), "{which} of sixteen at once");
        assert_eq!(read(reply).await.0, scene.plainly(&model, which), "{which} beside questions");
    }
    counters
}

#[tokio::test]
async fn labels_weigh_the_same_alone_and_in_company() {
    check_questions(ROOMY).await;
}

#[tokio::test]
async fn labels_weigh_the_same_where_memory_is_short() {
    let layers = model().spec().layers.len();
    let counters = check_questions(7 * layers).await;
    assert!(counters.yielded.load(Relaxed) > 0);
}

/// Holds the expert's thread up, when its call ends, until a word comes.
struct Gate(mpsc::Receiver<()>);

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.recv();
    }
}

/// Notes when its call ends.
struct Ends(u32, Arc<Mutex<Vec<u32>>>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[tokio::test]
async fn lower_classes_make_way_go_on_where_they_were_and_say_the_same() {
    let (scene, model, ended) = (Scene::new(40, 0.9), model(), Arc::default());
    let (expert, counters) = start_with(3, ROOMY);
    let submit = |which, priority| {
        let (mut job, stream) = scene.job(which);
        job.priority = priority;
        job._hold = Box::new(Ends(which, Arc::clone(&ended)));
        hand_over(&expert, job);
        (which, stream)
    };
    // The first ends with its first token, and the expert waits until the high ones are there.
    let (mut first, stream) = scene.job(9);
    let (open, gate) = mpsc::channel();
    (first.max_tokens, first._hold) = (1, Box::new(Gate(gate)));
    hand_over(&expert, first);
    let low = [0, 1].map(|which| submit(which, Priority::Low));
    assert_eq!(read(stream).await.1.completion_tokens, 1);
    let high = [2, 3, 4].map(|which| submit(which, Priority::High));
    open.send(()).unwrap();
    for (which, stream) in low.into_iter().chain(high) {
        assert_eq!(read(stream).await.0, scene.plainly(&model, which), "{which}");
    }
    expert.stop();
    let mut ended: Vec<u32> = ended.lock().unwrap().clone();
    ended[..3].sort_unstable();
    assert_eq!(ended[..3], [2, 3, 4]);
    assert_eq!(counters.yielded.load(Relaxed), 2);
}
