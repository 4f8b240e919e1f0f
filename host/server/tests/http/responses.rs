//! Responses that follow one another, texts and their tokens, names that stand for experts.

use serde_json::{Value, json};

use crate::{
    fixture::{GENERAL, Server, recorded},
    transcript::{Transcript, weather},
};

#[test]
fn responses_are_items_and_events() {
    let mut said = Transcript::new();
    let (prompt, expected, ..) = recorded(GENERAL);
    let path = "/v1/responses";
    let body = |more: Value| {
        let mut body = json!({ "model": GENERAL, "temperature": 0, "input": prompt });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let first = read(&said.post(path, &body(json!({}))));
    assert_eq!(first["output"][0]["content"][0]["text"], expected);
    said.post(path, &body(json!({ "stream": true, "max_output_tokens": 200 })));
    said.post(path, &body(json!({ "stream": true, "max_output_tokens": 2, "store": false })));
    let tools =
        json!([{ "type": "function", "name": "weather", "parameters": weather(), "strict": true }]);
    let required =
        json!({ "tools": tools, "tool_choice": "required", "parallel_tool_calls": false });
    said.post(path, &body(required.clone()));
    let mut streamed = required;
    streamed["stream"] = json!(true);
    said.post(path, &body(streamed));
    let weighed = json!({ "top_logprobs": 1, "max_output_tokens": 2, "store": false });
    said.post(path, &body(weighed.clone()));
    let mut streamed = weighed;
    streamed["stream"] = json!(true);
    said.post(path, &body(streamed));
    let schema =
        json!({ "type": "json_schema", "name": "yn", "schema": { "enum": ["yes", "no"] } });
    said.post(path, &body(json!({ "text": { "format": schema } })));
    said.post(path, &body(json!({ "tools": tools, "instructions": "Be brief.", "input": [
        { "role": "user", "content": [{ "type": "input_text", "text": "Vigo?" }] },
        { "type": "reasoning", "id": "r1", "summary": [] },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I look." }] },
        { "type": "function_call", "id": "f1", "call_id": "c1", "name": "weather", "arguments": "{\"city\": \"Vigo\"}" },
        { "type": "function_call_output", "call_id": "c1", "output": "Rain" },
    ]})));
    for refused in [
        json!({ "input": [{ "type": "computer_call" }] }),
        json!({ "tools": [{ "type": "web_search" }] }),
        json!({ "previous_response_id": "resp_0" }),
        json!({ "background": true }),
        json!({ "truncation": "auto" }),
        json!({ "include": ["file_search_call.results"] }),
        json!({ "n": 2 }),
    ] {
        said.post(path, &body(refused));
    }
    said.hold("responses.txt");
}

/// What one follows is there as if it had been sent again.
#[test]
fn a_response_follows_another() {
    let server = Server::start();
    let (prompt, expected, ..) = recorded(GENERAL);
    let ask = |body: &Value| {
        let answer = server.post("/v1/responses", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let named = json!({ "model": GENERAL, "temperature": 0, "input": prompt });
    let first = ask(&named);
    let id = first["id"].as_str().unwrap();
    let follow = |more: Value| {
        let mut body = json!({ "model": GENERAL, "temperature": 0, "input": "And now?" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let second = ask(&follow(json!({ "previous_response_id": id })));
    let again = ask(&follow(json!({ "input": [
        { "role": "user", "content": prompt },
        { "role": "assistant", "content": expected },
        { "role": "user", "content": "And now?" },
    ]})));
    let text = |answer: &Value| answer["output"][0]["content"][0]["text"].clone();
    assert_eq!(text(&second), text(&again));
    assert_eq!(second["usage"]["input_tokens"], again["usage"]["input_tokens"]);
    let third = ask(&follow(json!({ "previous_response_id": second["id"], "input": "And then?" })));
    assert!(third["usage"]["input_tokens"].as_u64() > second["usage"]["input_tokens"].as_u64());
    check_items(&server, second["id"].as_str().unwrap(), &[&prompt, &expected, "And now?"]);
    let path = format!("/v1/responses/{id}");
    assert_eq!(server.get(&path).json(), first);
    let deleted = server.ask("DELETE", &path, &[], "").json();
    assert_eq!((&deleted["id"], &deleted["deleted"]), (&json!(id), &json!(true)));
    for method in ["GET", "DELETE"] {
        let gone = server.ask(method, &path, &[], "");
        assert_eq!((gone.status, gone.code().as_str()), (404, "response_not_found"));
    }
    let unkept = ask(&follow(json!({ "store": false })));
    let path = format!("/v1/responses/{}", unkept["id"].as_str().unwrap());
    assert_eq!(server.get(&path).status, 404);
}

/// The items that a response was made from, whole and in pages.
fn check_items(server: &Server, id: &str, expect: &[&str; 3]) {
    let made_from = |query: &str| server.get(&format!("/v1/responses/{id}/input_items{query}"));
    let items = made_from("?order=asc").json();
    let said: Vec<&Value> = items["data"].as_array().unwrap().iter().collect();
    let texts: Vec<&Value> = said.iter().map(|item| &item["content"][0]["text"]).collect();
    assert_eq!(texts, expect.map(|text| json!(text)).iter().collect::<Vec<_>>());
    assert_eq!((&items["first_id"], &items["has_more"]), (&said[0]["id"], &json!(false)));
    let newest = made_from("?limit=1").json();
    assert_eq!((&newest["data"][0], &newest["has_more"]), (said[2], &json!(true)));
    let after = made_from(&format!("?after={}", newest["last_id"].as_str().unwrap())).json();
    assert_eq!(after["data"], json!([said[1], said[0]]));
    assert_eq!(made_from("?limit=0").status, 400);
    assert_eq!(server.get("/v1/responses/resp_0/input_items").status, 404);
}

#[test]
fn texts_are_strings_or_tokens() {
    let mut said = Transcript::new();
    let path = "/v1/completions";
    let body = |more: Value| {
        let mut body = json!({ "model": GENERAL, "temperature": 0, "max_tokens": 3 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let texts = |answer: &Value| -> Vec<String> {
        let choices = answer["choices"].as_array().unwrap();
        choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
    };
    let tokenized = read(&said.post("/tokenize", &json!({ "model": GENERAL, "prompt": "Hello" })));
    let ids = tokenized["tokens"].clone();
    let one = read(&said.post(path, &body(json!({ "prompt": "Hello" }))));
    let same = read(&said.post(path, &body(json!({ "prompt": ids }))));
    assert_eq!((texts(&one), &one["usage"]), (texts(&same), &same["usage"]));
    let both = read(&said.post(path, &body(json!({ "prompt": ["Hello", "Once"], "n": 2 }))));
    let each = read(&said.post(path, &body(json!({ "prompt": "Once" }))));
    let (hello, once) = (texts(&one)[0].clone(), texts(&each)[0].clone());
    assert_eq!(texts(&both), [hello.clone(), hello.clone(), once.clone(), once.clone()]);
    let prompts = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(prompts(&both), prompts(&one) + prompts(&each));
    let echoed =
        read(&said.post(path, &body(json!({ "prompt": ["Hello", "Once"], "echo": true }))));
    assert_eq!(texts(&echoed), [format!("Hello{hello}"), format!("Once{once}")]);
    said.post(path, &body(json!({ "prompt": "Hello", "echo": true, "stream": true })));
    said.post(path, &body(json!({ "model": "qwen_coder", "prompt": "def", "suffix": "return" })));
    said.post(path, &body(json!({ "prompt": "def", "suffix": "return" })));
    said.post(path, &body(json!({ "prompt": "Hello", "echo": true, "logprobs": 1 })));
    said.post(path, &json!({ "prompt": [1, 2] }));
    said.post(path, &body(json!({ "prompt": [4_000_000] })));
    said.post(path, &body(json!({ "prompt": ["a", "b"], "n": 9 })));
    let pieces = json!({ "model": GENERAL, "content": "Hello", "with_pieces": true });
    said.post("/tokenize", &pieces);
    said.post(
        "/tokenize",
        &json!({ "prompt": "Hello", "return_token_strs": true, "add_special_tokens": false }),
    );
    said.post("/detokenize", &json!({ "model": GENERAL, "tokens": ids }));
    said.post("/detokenize", &json!({ "model": GENERAL, "tokens": [4_000_000] }));
    said.post("/tokenize", &json!({ "model": "nobody", "prompt": "x" }));
    let older =
        json!({ "prompt": "Hello", "n_predict": 3, "temperature": 0, "stop": ["</s>", ""] });
    said.post("/completion", &older);
    let streamed = json!({ "prompt": "Hello", "n_predict": 3, "temperature": 0, "stream": true });
    said.post("/completion", &streamed);
    said.hold("texts.txt");
}

#[test]
fn the_best_of_several_is_the_likeliest() {
    let server = Server::start();
    let ask = |more: Value| {
        let mut body = json!({ "model": GENERAL, "prompt": "Once", "max_tokens": 4 });
        let hot = json!({ "temperature": 2, "seed": 1 });
        body.as_object_mut().unwrap().extend(hot.as_object().unwrap().clone());
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post("/v1/completions", &body.to_string()).json()
    };
    let all = ask(json!({ "n": 3, "logprobs": 0 }));
    let best = ask(json!({ "best_of": 3 }));
    assert_eq!(best["choices"].as_array().map(Vec::len), Some(1));
    assert_eq!(best["choices"][0]["text"], likeliest(&all));
    assert_eq!(best["choices"][0]["logprobs"], Value::Null);
    let spent = |answer: &Value| answer["usage"]["completion_tokens"].clone();
    assert_eq!(spent(&best), spent(&all), "all that were drawn are counted");
}

/// The text whose tokens were the likeliest on average.
fn likeliest(answer: &Value) -> String {
    let mean = |choice: &&Value| {
        let weights = choice["logprobs"]["token_logprobs"].as_array().unwrap();
        weights.iter().filter_map(Value::as_f64).sum::<f64>() / weights.len() as f64
    };
    let choices = answer["choices"].as_array().unwrap().iter();
    let best = choices.max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap();
    best["text"].as_str().unwrap().to_owned()
}

#[test]
fn aliases_are_names_of_experts() {
    let server = Server::with(|settings| {
        let alias = |name: &str| (name.to_owned(), GENERAL.to_owned());
        settings.aliases = [alias("gpt-4o-mini"), alias("phi4:mini")].into();
    });
    let (prompt, expected, ..) = recorded(GENERAL);
    for name in ["gpt-4o-mini", "phi4:mini", "gpt-4o-mini:latest"] {
        let answer = server.chat(&prompt, &format!(r#", "model": "{name}""#));
        let reply = answer.json();
        assert_eq!(reply["choices"][0]["message"]["content"], expected, "{name}: {reply}");
        assert_eq!(reply["model"], GENERAL);
    }
    let listed = server.get("/v1/models").json();
    let listed = listed["data"].as_array().unwrap();
    let alias = listed.iter().find(|model| model["id"] == "gpt-4o-mini").unwrap();
    assert_eq!(alias["root"], GENERAL);
    assert_eq!(server.get("/v1/models/gpt-4o-mini").json(), *alias);
    let tags = server.get("/api/tags").json();
    let named = |name: &str| tags["models"].as_array().unwrap().iter().any(|m| m["name"] == name);
    assert!(named("phi4:mini") && named("gpt-4o-mini:latest"), "{tags}");
    assert_eq!(server.post("/api/show", r#"{"model": "phi4:mini"}"#).status, 200);
    assert_eq!(server.get("/v1/models/gpt-5").status, 404);
}
