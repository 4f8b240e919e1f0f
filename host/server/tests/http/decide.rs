//! Questions that are answered with probabilities: the same alone and beside replies, in the words of both dialects.

use std::thread;

use serde_json::{Value, json};

use crate::fixture::{GENERAL, STRICT, Server};

const EXPERTS: [&str; 3] = [GENERAL, STRICT, "qwen_coder"];

/// A question of each type about one text.
fn decisions(model: &str) -> Value {
    json!({ "model": model, "input": "My card was charged twice for one order.", "questions": [
        { "type": "predicate", "name": "twice", "instructions": "The customer paid twice." },
        { "type": "choice", "instructions": "Whose is it?", "choices": [
            { "value": "billing", "description": "payments" }, { "value": "billing desk" }, { "value": true },
        ]},
        { "type": "score", "name": "tone", "instructions": "How upset?", "levels": [
            { "label": "calm" }, { "label": "annoyed", "description": "a bit" }, { "label": "furious" },
        ]},
    ]})
}

fn ask(server: &Server, path: &str, body: &Value) -> Value {
    let answer = server.post(path, &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn sum(probabilities: &Value) -> f64 {
    let shares = probabilities.as_array().unwrap().iter();
    shares.map(|share| share["probability"].as_f64().unwrap()).sum()
}

#[test]
fn every_expert_answers_questions_of_every_type() {
    let server = Server::start();
    for model in EXPERTS {
        let answered = ask(&server, "/v1/decisions", &decisions(model));
        assert_eq!(answered["model"], model);
        let [predicate, choice, score] = [0, 1, 2].map(|at| &answered["answers"][at]);
        let probability = predicate["probability"].as_f64().unwrap();
        assert!(predicate["name"] == "twice" && (0.0..=1.0).contains(&probability));
        assert!(choice["name"].is_null() && (sum(&choice["probabilities"]) - 1.0).abs() < 1e-9);
        let likeliest = |a: &&Value, b: &&Value| {
            a["probability"].as_f64().unwrap().total_cmp(&b["probability"].as_f64().unwrap())
        };
        let best = choice["probabilities"].as_array().unwrap().iter().max_by(likeliest).unwrap();
        assert_eq!(choice["choice"], best["value"]);
        assert!((sum(&score["probabilities"]) - 1.0).abs() < 1e-9);
        assert!((0.0..=2.0).contains(&score["score"].as_f64().unwrap()));
        let usage = &answered["usage"];
        assert_eq!(usage["output_tokens"], 0, "nothing is generated");
        assert!(
            usage["input_tokens"].as_u64()
                > usage["input_tokens_details"]["cached_tokens"].as_u64()
        );
    }
}

#[test]
fn nobody_named_leaves_the_choice_to_the_router() {
    let server = Server::start();
    let mut body = decisions("auto");
    let answer = server.post("/v1/decisions", &body.to_string());
    assert_eq!(
        (answer.json()["model"].as_str(), answer.header("x-signalbox-expert")),
        (Some(GENERAL), GENERAL)
    );
    let decision = answer.header("x-signalbox-decision");
    let logged = server.operate("GET", &format!("/decisions/{decision}"), b"").json();
    assert_eq!(logged["decision"]["outcome"], "completed", "{logged}");
    body["temprature"] = json!(1);
    let answer = server.post("/v1/decisions", &body.to_string());
    assert!(answer.header("x-signalbox-warning").contains("temprature"), "{}", answer.text);
}

/// Invariant 9, as clients see it.
#[test]
fn a_question_gives_the_same_bits_alone_and_beside_sixteen_calls() {
    let server = Server::start();
    let alone = ask(&server, "/v1/decisions", &decisions(GENERAL));
    let answers = thread::scope(|scope| {
        let beside: Vec<_> = (0..16)
            .map(|at| {
                let (server, words) = (&server, format!("Tell me of the number {at}."));
                scope.spawn(move || server.chat(&words, r#", "max_tokens": 48"#).status)
            })
            .collect();
        let asking: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| ask(&server, "/v1/decisions", &decisions(GENERAL))))
            .collect();
        assert!(beside.into_iter().all(|call| call.join().unwrap() == 200));
        asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    for answered in answers {
        assert_eq!(answered["answers"].to_string(), alone["answers"].to_string());
    }
}

#[test]
fn what_questions_have_in_common_is_computed_once() {
    let server = Server::start();
    let text = "The train to Vigo leaves late because of the storm. ".repeat(8);
    let question =
        |at| json!({ "type": "predicate", "instructions": format!("It has {at} cars.") });
    let questions: Vec<Value> = (0..20).map(question).collect();
    let body = json!({ "model": GENERAL, "input": text, "questions": questions });
    let usage = &ask(&server, "/v1/decisions", &body)["usage"];
    let counted = |usage: &Value, what: &str| usage[what].as_u64().unwrap();
    let all = counted(usage, "input_tokens");
    let computed = all - counted(&usage["input_tokens_details"], "cached_tokens");
    assert!(computed < all / 3, "{computed} of {all}");
}

#[test]
fn system_one_asks_by_name() {
    let server = Server::start();
    let body = json!({
        "model": GENERAL,
        "state": { "ticket": "My card was charged twice." },
        "instructions": "You sort tickets.",
        "questions": {
            "team": { "type": "choice", "instructions": "Whose?", "criteria": { "billing": "money", "shipping": null } },
            "urgent": { "type": "noul", "instructions": "Urgent?", "criteria": { "true": "money moves" } },
            "tone": { "type": "score", "instructions": "How upset?", "criteria": ["calm", "annoyed"] },
        },
        "chat_template_kwargs": { "enable_thinking": false },
    });
    let answered = ask(&server, "/v1/systemone", &body);
    let answers = answered["answers"].as_object().unwrap();
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["team", "urgent", "tone"]);
    assert!(answers["team"]["probabilities"]["billing"].is_f64());
    assert!((0.0..=1.0).contains(&answers["urgent"]["noul"].as_f64().unwrap()));
    assert_eq!(answers["tone"]["legend"], json!({ "0": "calm", "1": "annoyed" }));
    for name in ["team", "urgent", "tone"] {
        let mass = answered["diagnostics"][name]["label_mass"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&mass), "{name}: {mass}");
    }
}

#[test]
fn more_options_than_letters_are_told_apart() {
    let server = Server::start();
    let choices: Vec<Value> =
        (0..40).map(|at| json!({ "value": format!("option {at}") })).collect();
    let question = json!({ "type": "choice", "instructions": "Which?", "choices": choices });
    let body = json!({ "model": GENERAL, "input": "It is the last.", "questions": [question] });
    let answered = ask(&server, "/v1/decisions", &body);
    let probabilities = &answered["answers"][0]["probabilities"];
    assert_eq!(probabilities.as_array().unwrap().len(), 40);
    assert!((sum(probabilities) - 1.0).abs() < 1e-9);
}

#[test]
fn what_can_not_be_asked_is_named() {
    let server = Server::start();
    let check = |path: &str, body: Value, status, code, at: &str| {
        let answer = server.post(path, &body.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
        assert!(answer.text.contains(at), "{at}: {}", answer.text);
    };
    let asked = |question: Value| json!({ "input": "x", "questions": [question] });
    let decisions = "/v1/decisions";
    check(decisions, json!({ "questions": [] }), 400, "missing_parameter", "input");
    check(decisions, json!({ "input": "x", "questions": [] }), 400, "invalid_value", "1 to 256");
    check(decisions, json!({ "input": " ", "questions": [{}] }), 400, "invalid_value", "input");
    check(decisions, asked(json!({ "type": "box" })), 400, "missing_parameter", "instructions");
    let ask = |more: Value| {
        let mut question = json!({ "instructions": "x" });
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked(question)
    };
    check(decisions, ask(json!({ "type": "box" })), 400, "invalid_value", "predicate");
    check(decisions, ask(json!({ "type": "choice" })), 400, "missing_parameter", "choices");
    let twice = json!({ "type": "choice", "choices": [{ "value": "a" }, { "value": "a" }] });
    check(decisions, ask(twice), 400, "invalid_value", "no two");
    let many = json!({ "type": "predicate", "instructions": "x" });
    let many = json!({ "input": "x", "questions": vec![many; 257] });
    check(decisions, many, 400, "invalid_value", "1 to 256");
    let many: Vec<Value> = (0..256).map(|at| json!({ "value": at.to_string() })).collect();
    let many = ask(json!({ "type": "choice", "choices": many }));
    check(decisions, many, 400, "invalid_value", "up to 255");
    let many = ask(json!({ "type": "score", "levels": vec![json!({ "label": "a" }); 11] }));
    check(decisions, many, 400, "invalid_value", "up to 10");
    let few = json!({ "type": "score", "levels": [{ "label": "a" }] });
    check(decisions, ask(few), 400, "invalid_value", "2 to 10");
    let image =
        json!([{ "role": "user", "content": [{ "type": "input_image", "image_url": "data:x" }] }]);
    let body =
        json!({ "input": image, "questions": [{ "type": "predicate", "instructions": "x" }] });
    check(decisions, body, 400, "unsupported_parameter", "about text");
    let mut unknown = ask(json!({ "type": "predicate" }));
    unknown["model"] = json!("nobody");
    check(decisions, unknown, 404, "model_not_found", "nobody");
    let systemone = "/v1/systemone";
    check(systemone, json!({ "state": "x", "questions": [] }), 400, "invalid_value", "object");
    let odd = json!({ "state": "x", "questions": { "a": { "type": "noul", "critera": {} } } });
    check(systemone, odd, 400, "invalid_value", "questions.a");
}
