//! Whatever a model draws, what comes out follows its schema: random logits over a real vocabulary.

mod calls;
mod corpus;

use std::{sync::Arc, time::Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::{
    Format, ToolChoice, Tools,
    sampler::{Rules, Sampler},
    tokenizer::tests::toy_tokenizer,
    tools::{CallReader, Said, Tool},
};

/// Longer answers count as endless.
const TOKENS_MAX: usize = 4000;
const TOY: &str = "qwen_coder";

/// An expert that draws at random, and knows no more than that texts end at some time.
struct Chance {
    compiler: Arc<Compiler>,
    words: Vec<Vec<u8>>,
    end: u32,
}

impl Chance {
    fn new() -> Self {
        Self::of(TOY, "<|im_end|>")
    }

    fn of(toy: &str, end: &str) -> Self {
        let tokenizer = Arc::new(toy_tokenizer(toy));
        let end = tokenizer.id(end).unwrap();
        let tokens = tokenizer.tokens();
        let words = (0..tokens).map(|token| tokenizer.token_bytes(token)).collect();
        Self { compiler: Compiler::new(tokenizer, tokens, vec![end]), words, end }
    }

    fn constraint(&self, format: &Format, tools: &Tools) -> Result<Constraint, Problem> {
        let grammar = Grammar::of(format, tools).map_err(Problem::Wrong)?.unwrap();
        self.compiler.constraint(&grammar)
    }

    /// An answer at temperature 1.
    fn answer(&self, mut constraint: Constraint, seed: u64) -> String {
        let mut noise = ChaCha8Rng::seed_from_u64(seed);
        let rules = Rules { seed: Some(seed), ..Rules::default() };
        let (mut sampler, mut bytes) = (Sampler::new(rules, &[]), Vec::new());
        for _ in 0..TOKENS_MAX {
            let mask = constraint.mask().unwrap();
            let mut logits: Vec<f32> =
                self.words.iter().map(|word| likely(word, &mut noise)).collect();
            let token = sampler.sample(&mut logits, mask.as_ref(), &Default::default()).unwrap();
            constraint.accept(token).unwrap();
            if token == self.end {
                return String::from_utf8(bytes).unwrap();
            }
            bytes.extend(&self.words[token as usize]);
            if constraint.is_over() {
                return String::from_utf8(bytes).unwrap();
            }
        }
        panic!("no end: {}", String::from_utf8_lossy(&bytes));
    }
}

/// Noise, in which brackets and quotation marks that close something come sooner or later.
fn likely(word: &[u8], noise: &mut ChaCha8Rng) -> f32 {
    let closes = matches!(word, [b'"' | b']' | b'}', ..]) && word.len() < 3;
    noise.random::<f32>() * 4.0 + if closes { 5.0 } else { 0.0 }
}

fn check_schema(chance: &Chance, schema: &Value, seeds: u64) {
    let format = Format::JsonSchema(schema.clone());
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    for seed in 0..seeds {
        let constraint = match chance.constraint(&format, &Tools::default()) {
            Ok(constraint) => constraint,
            Err(problem) => panic!("{schema}: {problem:?}"),
        };
        let answer = chance.answer(constraint, seed);
        // A leap second ends a month; the grammar of times takes one anywhere.
        let answer = answer.replace(":60", ":59");
        let read: Value = serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{schema}: {error}: {answer:?}"));
        assert!(validator.is_valid(&read), "{schema}: {answer:?}");
    }
}

#[test]
fn every_answer_follows_its_schema() {
    let (chance, schemas) = (Chance::new(), corpus::schemas());
    assert!(schemas.len() >= 200, "{} schemas", schemas.len());
    for schema in &schemas {
        check_schema(&chance, schema, 3);
    }
}

#[test]
fn what_can_not_be_held_is_refused() {
    let chance = Chance::new();
    for schema in corpus::refused() {
        let format = Format::JsonSchema(schema.clone());
        let refused = chance.constraint(&format, &Tools::default()).err();
        assert!(matches!(refused, Some(Problem::Wrong(_))), "{schema}");
    }
}

#[test]
fn bombs_are_refused_or_take_no_time() {
    let chance = Chance::new();
    let warm = chance.constraint(&Format::JsonObject, &Tools::default());
    assert!(warm.is_ok());
    let mut refusals = 0;
    for bomb in corpus::bombs() {
        let began = Instant::now();
        match chance.constraint(&bomb, &Tools::default()) {
            Err(_) => refusals += 1,
            Ok(mut constraint) => drop(constraint.mask()),
        }
        let took = began.elapsed();
        let shown: String = format!("{bomb:?}").chars().take(80).collect();
        println!("{took:?} {shown}");
        // A debug build of the library is slower; the bound of the release is 100 ms.
        assert!(took.as_millis() < 400, "{shown}: {took:?}");
    }
    assert!(refusals > 2, "{refusals} refusals");
}

#[test]
fn a_choice_is_one_of_its_texts_and_a_regex_matches() {
    let chance = Chance::new();
    let choices = ["yes", "no", "a.b (c)|d\n\"ñ\""].map(str::to_owned);
    for seed in 0..9 {
        let format = Format::Choice(choices.to_vec());
        let answer = chance.answer(chance.constraint(&format, &Tools::default()).unwrap(), seed);
        assert!(choices.contains(&answer), "{answer:?}");
        let format = Format::Regex("[0-9]{3}-[a-f]{2}".into());
        let answer = chance.answer(chance.constraint(&format, &Tools::default()).unwrap(), seed);
        let (digits, letters) = answer.split_once('-').unwrap();
        assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{answer}");
        assert!(letters.len() == 2 && letters.bytes().all(|b| b"abcdef".contains(&b)), "{answer}");
    }
}

#[test]
fn who_has_to_call_calls() {
    let chance = Chance::new();
    let parameters = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": { "city": { "type": "string", "maxLength": 8 }, "days": { "enum": [1, 2] } },
    });
    let tool = |name: &str| Tool {
        name: name.into(),
        description: None,
        parameters: parameters.clone(),
        strict: true,
    };
    for (choice, names) in [
        (ToolChoice::Required, &["weather", "now"][..]),
        (ToolChoice::Named("now".into()), &["now"]),
    ] {
        let offered = vec![tool("weather"), tool("now")];
        let tools = Arc::new(Tools { offered, choice, parallel: false });
        for seed in 0..9 {
            let constraint = chance.constraint(&Format::Text, &tools).unwrap();
            let answer = chance.answer(constraint, seed);
            let mut reader = CallReader::new(tools.clone());
            let mut said = reader.push(&answer);
            said.extend(reader.finish(false));
            let [Said::Call(call)] = &said[..] else { panic!("{answer:?}: {said:?}") };
            assert!(names.contains(&call.name.as_str()), "{answer:?}");
            let validator = jsonschema::validator_for(&parameters).unwrap();
            assert!(validator.is_valid(&call.value()), "{answer:?}");
        }
    }
}
