//! Calls of strict tools in replies that are free otherwise: an expert that draws at random writes arguments of their
//! schemas once a call has begun, however calls are spelled.

use super::*;

/// A reply that begins as it is told and goes on at random, for so many tokens.
struct Reply {
    text: String,
    /// Steps at which not every token was open.
    masked: usize,
    steps: usize,
}

const TOKENS: usize = 400;

fn weather() -> Value {
    json!({
        "type": "object", "required": ["city", "days"], "additionalProperties": false,
        "properties": {
            "city": { "type": "string", "maxLength": 8 }, "days": { "enum": [1, 2] },
        },
    })
}

fn tools(strict: bool) -> Arc<Tools> {
    let tool = |name: &str, parameters, strict| Tool {
        name: name.to_owned(),
        description: None,
        parameters,
        strict,
    };
    let offered = vec![tool("weather", weather(), strict), tool("note", json!({}), false)];
    Arc::new(Tools { offered, ..Tools::default() })
}

impl Chance {
    /// `begins` is written token by token as far as the mask has it, and then whatever comes.
    fn reply(&self, tools: &Arc<Tools>, begins: &[u32], seed: u64) -> Reply {
        let mut constraint = self.compiler.calls(tools).unwrap();
        let mut noise = ChaCha8Rng::seed_from_u64(seed);
        let rules = Rules { seed: Some(seed), ..Rules::default() };
        let mut sampler = Sampler::new(rules, &[]);
        let mut words = crate::tokenizer::Detokenizer::new(self.compiler.tokenizer().clone());
        let (mut text, mut masked, mut wanted) = (String::new(), 0, begins.iter());
        for _ in 0..TOKENS {
            let mask = constraint.as_mut().and_then(|constraint| constraint.mask().unwrap());
            masked += usize::from(mask.is_some());
            let mut logits: Vec<f32> =
                self.words.iter().map(|word| likely(word, &mut noise)).collect();
            logits[self.end as usize] = f32::NEG_INFINITY;
            if let Some(token) = wanted.next() {
                logits[*token as usize] = 99.0;
            }
            let token = sampler.sample(&mut logits, mask.as_ref(), &Default::default()).unwrap();
            if let Some(constraint) = &mut constraint {
                constraint.accept(token).unwrap();
            }
            text += &words.push(token);
        }
        Reply { text, masked, steps: TOKENS }
    }

    fn tokens(&self, text: &str) -> Vec<u32> {
        self.compiler.tokenizer().encode_rendered(text).unwrap()
    }
}

/// The calls in a reply, read in pieces.
fn calls(text: &str, tools: &Arc<Tools>) -> Vec<crate::ToolCall> {
    let mut reader = CallReader::new(tools.clone());
    let mut said: Vec<Said> =
        text.split_inclusive(' ').flat_map(|piece| reader.push(piece)).collect();
    said.extend(reader.finish(true));
    let calls = said.into_iter().filter_map(|said| match said {
        Said::Call(call) => Some(call),
        Said::Text(_) | Said::Arguments(_) => None,
    });
    calls.collect()
}

fn is_valid(call: &crate::ToolCall) -> bool {
    let validator = jsonschema::validator_for(&weather()).unwrap();
    call.name != "weather" || validator.is_valid(&call.value())
}

/// Replies that begin like this: each has a call, and every call of the strict tool is one of its schema.
fn check(chance: &Chance, begins: &str) {
    let strict = tools(true);
    let tokens = chance.tokens(begins);
    for seed in 0..12 {
        let Reply { text, masked, steps } = chance.reply(&strict, &tokens, seed);
        let calls = calls(&text, &strict);
        assert!(!calls.is_empty(), "{begins:?}, seed {seed}: {text:?}");
        assert!(calls.iter().all(is_valid), "{begins:?}, seed {seed}: {text:?}: {calls:?}");
        assert!(masked < steps, "behind a call a reply is free: {text:?}");
    }
}

#[test]
fn whatever_a_call_is_spelled_like_its_arguments_follow_the_schema() {
    let chance = Chance::new();
    for begins in [
        "<tool_call>",
        "I look.\n<tool_call>\n{\"name\": \"weather\", ",
        "<function_call>",
        "<|tool_call|>",
        "[TOOL_CALLS]",
        "[TOOL_CALLS]weather[ARGS]",
        "[TOOL_CALLS][{\"name\": \"note\", \"arguments\": {}}, ",
        "<|python_tag|>",
        "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"weather\", ",
        "functools[{\"name\": \"weather\"",
        "<tools>\n{\"name\": \"weather\"",
        "Action: ```json\n[\n    {\n        \"tool_name\": \"weather\"",
        "So:\n```json\n{\"name\": \"weather\"",
        "```\n[{\"name\": \"weather\"",
        "{\"name\": \"weather\"",
        "{\"type\": \"function\", \"function\": {\"name\": \"weather\"",
        "[{\"id\": \"7\", \"name\": \"weather\"",
    ] {
        check(&chance, begins);
    }
}

#[test]
fn without_a_strict_tool_nothing_is_held() {
    let (chance, plain) = (Chance::new(), tools(false));
    assert!(chance.compiler.calls(&plain).unwrap().is_none());
    let begins = chance.tokens("{\"name\": \"weather\", \"arguments\": {");
    let wrong = (0..12).flat_map(|seed| {
        let text = chance.reply(&plain, &begins, seed).text;
        calls(&text, &plain).into_iter().filter(|call| !is_valid(call)).chain(
            calls(&text, &plain).is_empty().then(|| crate::ToolCall {
                id: String::new(),
                name: "weather".to_owned(),
                arguments: String::new(),
            }),
        )
    });
    assert!(wrong.count() > 6, "an expert like this one needs the mask");
}

#[test]
fn a_reply_without_a_call_is_as_free_as_without_tools() {
    let (chance, strict) = (Chance::new(), tools(true));
    for seed in 0..4 {
        let begins = chance.tokens("from functools import reduce; {x} and {\"key\": 1}\n");
        let held = chance.reply(&strict, &begins, seed);
        let free = chance.reply(&Arc::default(), &begins, seed);
        // It may begin a call by chance, and is another one from there on.
        let before = |text: &str| text.split("<tool_call>").next().map(str::to_owned);
        assert_eq!(before(&held.text), before(&free.text));
        assert!(held.masked == 0 || held.text.contains("<tool_call>"), "{:?}", held.text);
    }
}

#[test]
fn a_mark_that_leaves_no_text_begins_a_call_and_ends_it() {
    let (chance, strict) = (Chance::of("phi4_fast", "<|end|>"), tools(true));
    let mark = chance.compiler.tokenizer().id("<|tool_call|>").unwrap();
    for seed in 0..12 {
        let Reply { text, .. } = chance.reply(&strict, &[mark], seed);
        let calls = calls(&text, &strict);
        assert!(!calls.is_empty() && calls.iter().all(is_valid), "{text:?}: {calls:?}");
    }
}

#[test]
fn several_calls_behind_one_mark_are_held_each() {
    let (chance, strict) = (Chance::new(), tools(true));
    let begins = chance.tokens("{\"name\": \"note\", \"arguments\": {}}\n{\"name\": \"weather\"");
    for seed in 0..12 {
        let Reply { text, .. } = chance.reply(&strict, &begins, seed);
        let calls = calls(&text, &strict);
        assert!(calls.len() > 1 && calls.iter().all(is_valid), "{text:?}: {calls:?}");
    }
}
