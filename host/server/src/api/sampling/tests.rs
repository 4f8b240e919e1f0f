//! Fields of calls as clients send them.

use super::*;

fn parse(body: &str) -> Result<(Draft, Delivery), ApiError> {
    let names: Names = &[
        NAMES,
        format::NAMES,
        logprobs::NAMES,
        parameters::REFUSED,
        parameters::BEGINNINGS,
        parameters::HARMLESS,
    ];
    let mut fields = Fields::parse(body.as_bytes(), names)?;
    let id = RequestId::of(None);
    let (form, wishes) = (Form::Chat, Wishes::default());
    let prompt = Prompt { form, messages: vec![], wishes, streams: false };
    read(&mut fields, (&id, Caller::at(None)), prompt, &ServerSettings::default())
}

const UNSUPPORTED: &str = "unsupported_parameter";

fn refused(body: &str, code: &str, param: &str) {
    let error = parse(body).unwrap_err();
    assert_eq!(error.code(), code, "{body}");
    assert!(format!("{error:?}").contains(&format!("Some({param:?})")), "{body}: {error:?}");
}

#[test]
fn values_are_read() {
    let (call, delivery) = parse(
        r#"{"model": "phi", "temperature": 0, "top_p": 1, "top_k": 3, "seed": -1,
            "max_tokens": 5, "max_completion_tokens": 6, "stop": "END", "user": "u",
            "stream": true, "stream_options": {"include_usage": true}, "metadata": {"a": 1}}"#,
    )
    .unwrap();
    assert_eq!(call.view.model.as_deref(), Some("phi"));
    assert_eq!((call.view.temperature, call.view.max_tokens), (Some(0.0), Some(6)));
    let Sampling { top_p, top_k, seed, .. } = call.sampling;
    assert_eq!((top_p, top_k, seed), (Some(1.0), Some(3), Some(u64::MAX)));
    assert_eq!(call.stop, ["END"]);
    let expect = Delivery {
        stream: true,
        choices: 1,
        sent: 1,
        weighed: false,
        include_usage: true,
        warnings: vec![],
    };
    assert_eq!(delivery, expect);
}

/// What one field makes of a call.
fn check<T: PartialEq + std::fmt::Debug>(body: &str, of: fn(&Draft) -> T, expect: T) {
    assert_eq!(of(&parse(body).unwrap().0), expect, "{body}");
}

#[test]
fn parameters_of_other_servers_are_heeded_where_that_is_easy() {
    check(r#"{"min_p": 0.1}"#, |call| call.sampling.min_p, Some(0.1));
    check(r#"{"repetition_penalty": 1.1}"#, |c| c.sampling.repetition_penalty, Some(1.1));
    check(r#"{"repeat_penalty": 1.2}"#, |c| c.sampling.repetition_penalty, Some(1.2));
    check(r#"{"repeat_last_n": 64}"#, |c| c.sampling.repetition_penalty, None);
    check(r#"{"frequency_penalty": -2}"#, |c| c.sampling.frequency_penalty, Some(-2.0));
    check(r#"{"presence_penalty": 0.5}"#, |c| c.sampling.presence_penalty, Some(0.5));
    check(r#"{"stop_token_ids": [1, 7]}"#, |call| call.ends.tokens.clone(), vec![1, 7]);
    check(r#"{"min_tokens": 39}"#, |call| call.ends.min_tokens, 39);
    check(r#"{"ignore_eos": true}"#, |call| call.ends.ignored, true);
    check(r#"{"do_sample": false, "temperature": 1}"#, |c| c.view.temperature, Some(0.0));
    check(r#"{"n_predict": 7}"#, |call| call.view.max_tokens, Some(7));
    check(r#"{"max_new_tokens": 7, "max_tokens": 8}"#, |c| c.view.max_tokens, Some(8));
    check(r#"{"random_seed": 7}"#, |call| call.sampling.seed, Some(7));
    check(r#"{"stop_sequences": ["a"]}"#, |call| call.stop.clone(), vec!["a".to_owned()]);
    refused(r#"{"repeat_penalty": 1.1, "repeat_last_n": 64}"#, UNSUPPORTED, "repeat_last_n");
    refused(r#"{"stop_token_ids": ["a"]}"#, "invalid_value", "stop_token_ids");
    refused(r#"{"frequency_penalty": 2.5}"#, "invalid_value", "frequency_penalty");
}

#[test]
fn spellings_of_no_limit_and_whole_floats_are_taken() {
    check(r#"{"max_tokens": -1}"#, |call| call.view.max_tokens, Some(32_768));
    check(r#"{"max_tokens": 16.0}"#, |call| call.view.max_tokens, Some(16));
    check(r#"{"top_k": -1}"#, |call| call.sampling.top_k, Some(0));
    check(r#"{"top_k": 40.0}"#, |call| call.sampling.top_k, Some(40));
    check(r#"{"seed": 42.0}"#, |call| call.sampling.seed, Some(42));
    check(r#"{"seed": -1}"#, |call| call.sampling.seed, Some(u64::MAX));
}

#[test]
fn agents_send_many_stops_and_empty_ones() {
    let many: Vec<String> = (0..14).map(|i| format!("<|{i}|>")).collect();
    let body = serde_json::json!({ "stop": many }).to_string();
    assert_eq!(parse(&body).unwrap().0.stop, many);
    let none = Vec::<String>::new;
    check(r#"{"stop": ["", "a", ""]}"#, |call| call.stop.clone(), vec!["a".to_owned()]);
    check(r#"{"stop": ""}"#, |call| call.stop.clone(), none());
    check(r#"{"stop": []}"#, |call| call.stop.clone(), none());
    let surplus = serde_json::json!({ "stop": vec!["a"; STOPS_MAX + 1] }).to_string();
    refused(&surplus, "invalid_value", "stop");
}

#[test]
fn what_was_asked_for_beyond_words_is_read() {
    check(r#"{"logit_bias": {"7": 1, "9": -100}}"#, |call| call.sampling.bias.clone(), {
        vec![(7, 1.0), (9, f32::NEG_INFINITY)]
    });
    check(r#"{"logprobs": true, "top_logprobs": 3}"#, |call| call.wishes.logprobs, Some(3));
    check(r#"{"logprobs": true}"#, |call| call.wishes.logprobs, Some(0));
    let predicted = |call: &Draft| call.wishes.prediction.as_deref().map(str::to_owned);
    let parts =
        r#"{"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}]}}"#;
    check(parts, predicted, Some("a".to_owned()));
    check(r#"{"prediction": {"type": "content", "content": "b"}}"#, predicted, Some("b".into()));
    assert_eq!(parse(r#"{"n": 3, "best_of": 3}"#).unwrap().1.choices, 3);
}

#[test]
fn auto_leaves_the_choice_to_the_router() {
    for body in [
        "{}",
        r#"{"model": null}"#,
        r#"{"model": "auto"}"#,
        r#"{"model": ""}"#,
        r#"{"model": "auto:latest"}"#,
    ] {
        assert_eq!(parse(body).unwrap().0.view.model, None, "{body}");
    }
}

#[test]
fn values_out_of_bounds_are_named() {
    refused(r#"{"temperature": 2.5}"#, "invalid_value", "temperature");
    refused(r#"{"temperature": "hot"}"#, "invalid_value", "temperature");
    refused(r#"{"top_p": 0}"#, "invalid_value", "top_p");
    refused(r#"{"max_tokens": 0}"#, "invalid_value", "max_tokens");
    refused(r#"{"max_completion_tokens": 40000}"#, "invalid_value", "max_completion_tokens");
    refused(r#"{"seed": 1.5}"#, "invalid_value", "seed");
    refused(&format!(r#"{{"stop": "{}"}}"#, "a".repeat(257)), "invalid_value", "stop");
    refused(r#"{"stop": [1]}"#, "invalid_value", "stop");
    refused(r#"{"stream": "yes"}"#, "invalid_value", "stream");
    refused(r#"{"n": 17}"#, "invalid_value", "n");
    refused(r#"{"n": 2, "best_of": 1}"#, "invalid_value", "best_of");
    refused(r#"{"best_of": 2, "stream": true}"#, UNSUPPORTED, "best_of");
    refused(r#"{"logit_bias": {"a": 1}}"#, "invalid_value", "logit_bias");
    refused(r#"{"logit_bias": {"1": 101}}"#, "invalid_value", "logit_bias");
    let many: BTreeMap<String, f32> = (0..=BIASES_MAX).map(|id| (id.to_string(), 1.0)).collect();
    let many = serde_json::json!({ "logit_bias": many }).to_string();
    refused(&many, "invalid_value", "logit_bias");
    refused(r#"{"logprobs": true, "top_logprobs": 21}"#, "invalid_value", "top_logprobs");
    refused(r#"{"top_logprobs": 2}"#, "invalid_value", "top_logprobs");
    let long = "a".repeat(PREDICTION_BYTES_MAX);
    let long = serde_json::json!({ "prediction": { "content": long } }).to_string();
    refused(&long, "invalid_value", "prediction");
    refused(r#"{"stream_options": {"include_usage": true}}"#, "invalid_value", "stream_options");
}

#[test]
fn what_would_change_the_reply_is_refused() {
    for (name, value) in [
        ("tools", r#"[{"type": "function"}]"#),
        ("tool_choice", r#""required""#),
        ("n_probs", "5"),
        ("modalities", r#"["text", "audio"]"#),
    ] {
        refused(&format!(r#"{{"{name}": {value}}}"#), "unsupported_parameter", name);
    }
}

#[test]
fn what_changes_nothing_is_accepted() {
    for body in [
        r#"{"n": 1, "tools": [], "tool_choice": "auto", "logprobs": false}"#,
        r#"{"response_format": {"type": "text"}, "presence_penalty": 0, "logit_bias": {}}"#,
        r#"{"modalities": ["text"], "store": true, "whatever": [1]}"#,
    ] {
        assert!(parse(body).is_ok(), "{body}");
    }
}
