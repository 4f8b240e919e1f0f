//! Compiles grammars for one expert: on a thread of its own, one after the other, within bounds of size, time
//! and memory. What was compiled is kept for the next call that asks for the same.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use llguidance::{
    Matcher, ParserFactory, TokenParser,
    api::ParserLimits,
    earley::SlicedBiasComputer,
    toktrie::{InferenceCapabilities, TokEnv},
};
use signalbox_confine::{LINE_BYTES, clean};

use super::{
    Calls, Constraint, Grammar,
    forms::{self, Written},
    vocabulary::environment,
};
use crate::{
    limits::GRAMMARS_WAITING_MAX,
    tokenizer::{Detokenizer, Tokenizer},
    tools::{Openings, Tools},
};

/// Grammars that are kept, the oldest goes first.
const KEPT: usize = 16;
/// How long a call waits for its grammar, the ones before it included.
const PATIENCE: Duration = Duration::from_secs(10);
/// A recursive descent into schemas within schemas takes some.
const STACK_BYTES: usize = 16 << 20;
/// A lexer's state takes one or two KB.
const LEXER_STATES_MAX: usize = 20_000;
/// A hundred thousand are two milliseconds.
const COMPILE_FUEL: u64 = 1_000_000;
/// Symbols of a grammar; the largest schemas that people publish have half of it.
const SYMBOLS_MAX: usize = 200_000;
/// Fourteen thousand are a millisecond of every step.
const STEP_FUEL: u64 = 50_000;

/// Why a grammar is not compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is wrong, or too large; the compiler's words.
    Wrong(String),
    /// Others are being compiled, and this one would wait for too long.
    Busy,
}

/// The grammars of one expert.
pub(crate) struct Compiler {
    tokenizer: Arc<Tokenizer>,
    vocab_size: u32,
    ends: Vec<u32>,
    factory: OnceLock<Result<ParserFactory, String>>,
    kept: Mutex<VecDeque<(Grammar, TokenParser)>>,
    /// Calls that wait for one, and the one that is being compiled.
    waiting: AtomicUsize,
    turn: Mutex<()>,
}

impl Compiler {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>, vocab_size: u32, ends: Vec<u32>) -> Arc<Self> {
        Arc::new(Self {
            tokenizer,
            vocab_size,
            ends,
            factory: OnceLock::new(),
            kept: Mutex::default(),
            waiting: AtomicUsize::new(0),
            turn: Mutex::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// A reply's way through a grammar, from its beginning. Blocks while the grammar is compiled.
    pub(crate) fn constraint(self: &Arc<Self>, grammar: &Grammar) -> Result<Constraint, Problem> {
        self.matcher(grammar).map(Box::new).map(Constraint::Whole)
    }

    /// What holds the calls of strict tools to their schemas, in a reply that is free otherwise; `None` where no tool is
    /// strict. Blocks as well.
    pub(crate) fn calls(
        self: &Arc<Self>,
        tools: &Arc<Tools>,
    ) -> Result<Option<Constraint>, Problem> {
        if !tools.holds_calls() {
            return Ok(None);
        }
        let written = |mark: &str| self.written(mark);
        let lark = Grammar::Lark(forms::grammar(tools, written));
        let matcher = self.matcher(&lark.within_bounds().map_err(Problem::Wrong)?)?;
        let (words, token) =
            (Detokenizer::new(self.tokenizer.clone()), |mark: &str| self.tokenizer.id(mark));
        let calls = Calls::new(matcher, words, Openings::new(tools.clone()), token, written);
        calls.map(|calls| Some(Constraint::Calls(Box::new(calls)))).map_err(Problem::Wrong)
    }

    /// How a mark is written within a reply.
    fn written(&self, mark: &str) -> Written {
        match self.tokenizer.id(mark) {
            Some(id) if self.ends.contains(&id) => Written::Not,
            Some(id) if self.tokenizer.is_silent(id) => Written::Token(id),
            _ => Written::Text,
        }
    }

    fn matcher(self: &Arc<Self>, grammar: &Grammar) -> Result<Matcher, Problem> {
        let parser = match self.find(grammar) {
            Some(parser) => parser,
            None => self.compiled(grammar)?,
        };
        let matcher = Matcher::new(Ok(parser));
        match matcher.get_error() {
            Some(problem) => Err(Problem::Wrong(clean(&problem, LINE_BYTES))),
            None => Ok(matcher),
        }
    }

    /// A copy that shares nothing, so that what one reply makes of it is no other's affair.
    fn find(&self, grammar: &Grammar) -> Option<TokenParser> {
        let kept = self.kept();
        kept.iter().find(|(known, _)| known == grammar).map(|(_, parser)| parser.deep_clone())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Grammar, TokenParser)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles on a thread of its own, which ends by itself whoever waits for it.
    fn compiled(self: &Arc<Self>, grammar: &Grammar) -> Result<TokenParser, Problem> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= GRAMMARS_WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Problem::Busy);
        }
        let (done, outcome) = sync_channel(1);
        let (compiler, grammar) = (self.clone(), grammar.clone());
        let work = move || {
            let turn = compiler.turn.lock().unwrap_or_else(PoisonError::into_inner);
            // An earlier call may have asked for the same.
            let compiled = match compiler.find(&grammar) {
                Some(parser) => Ok(parser),
                None => catch_unwind(AssertUnwindSafe(|| compiler.compile(&grammar)))
                    .unwrap_or_else(|_| Err("it can't be compiled".to_owned())),
            };
            drop(turn);
            compiler.waiting.fetch_sub(1, Ordering::Relaxed);
            let _ = done.send(compiled); // nobody may wait any more
        };
        let spawned =
            thread::Builder::new().name("grammar".into()).stack_size(STACK_BYTES).spawn(work);
        if spawned.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Problem::Busy);
        }
        match outcome.recv_timeout(PATIENCE) {
            Ok(compiled) => compiled.map_err(|words| Problem::Wrong(clean(&words, LINE_BYTES))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(Problem::Busy),
        }
    }

    fn compile(&self, grammar: &Grammar) -> Result<TokenParser, String> {
        let factory = self.factory.get_or_init(|| {
            let words = environment(&self.tokenizer, self.vocab_size, &self.ends);
            factory(&words).map_err(|error| error.to_string())
        });
        let factory = factory.as_ref().map_err(Clone::clone)?;
        let parser = factory.create_parser(grammar.source()?).map_err(|error| error.to_string())?;
        let copy = parser.deep_clone();
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((grammar.clone(), parser));
        Ok(copy)
    }
}

fn factory(words: &TokEnv) -> Result<ParserFactory, impl std::fmt::Display + use<>> {
    let slices = SlicedBiasComputer::general_slices();
    let capabilities = InferenceCapabilities::default();
    ParserFactory::new(words, capabilities, &slices).map(|mut factory| {
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            initial_lexer_fuel: COMPILE_FUEL,
            step_lexer_fuel: STEP_FUEL,
            max_lexer_states: LEXER_STATES_MAX,
            max_grammar_size: SYMBOLS_MAX,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        factory
    })
}
