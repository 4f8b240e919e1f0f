//! What policies ask of experts: who asks for them, how much they may have, and who is blamed for the time it takes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use signalbox_policy::{
    Answer, AskError, Asked, Call, Decide, Delegate, Hook, NewImports, OnBehalf, Question, Terms,
    Texts, Weights,
};

use crate::scene::{Scene, menu, says, until, variant};

/// Answers by script, and remembers what was asked.
#[derive(Default)]
struct Script {
    seen: Mutex<Vec<String>>,
    /// How long an answer takes.
    slow: Duration,
}

impl Script {
    fn saw(&self, what: String) {
        self.seen.lock().unwrap().push(what);
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

#[async_trait]
impl Delegate for Script {
    async fn embed(&self, texts: Texts, mut terms: Terms) -> Result<Vec<Arc<[f32]>>, AskError> {
        let Texts { texts, shared, tokens_max, expert } = texts;
        self.saw(format!("{} texts, {shared}, {tokens_max}, {expert:?}", texts.len()));
        terms.bill.add(5);
        Ok(texts.iter().map(|text| [text.len() as f32, 0.5].into()).collect())
    }

    async fn ask(&self, question: Question, mut terms: Terms) -> Result<Answer, AskError> {
        let Question { messages, max_tokens, expert, .. } = question;
        self.saw(format!("{messages:?} {max_tokens} {} {}", terms.tokens, terms.aside));
        if terms.within < self.slow {
            tokio::time::sleep(terms.within).await;
            return Err(AskError::OutOfTime("too slow".into()));
        }
        tokio::time::sleep(self.slow).await;
        terms.bill.add(40);
        Ok(Answer {
            text: "because".into(),
            expert: expert.unwrap_or_default(),
            cut: true,
            prompt_tokens: 33,
            completion_tokens: 7,
        })
    }

    async fn decide(&self, about: Decide, _: Terms) -> Result<Vec<Weights>, AskError> {
        let weigh = |asked: &Asked| {
            self.saw(format!("{} {asked:?}", about.text));
            Weights { probabilities: vec![0.75, 0.25], mass: 0.5 }
        };
        Ok(about.questions.iter().map(weigh).collect())
    }

    async fn cached_tokens(&self, call: &Arc<Call>, expert: &str) -> Option<u32> {
        self.saw(format!("{} for {expert}", call.messages[0].content));
        (expert == "expert_coding").then_some(12)
    }
}

/// A call of a caller for whom this script asks.
fn lent(text: &str, script: &Arc<Script>) -> Call {
    Call { on_behalf: OnBehalf::of(script.clone()), ..says(text) }
}

async fn reason(scene: &Scene, call: &Call) -> String {
    let decision = scene.policies.snapshot().route(call, &menu()).await;
    decision.unwrap().unwrap().reason
}

#[tokio::test]
async fn what_is_asked_reaches_whoever_asks_for_the_caller() {
    let scene = Scene::new(|_| {}).await;
    let script = Arc::new(Script::default());
    let check = async |text: &str, expect: &str, asked: &[&str]| {
        assert_eq!(reason(&scene, &lent(text, &script)).await, expect, "{text}");
        assert_eq!(script.seen(), asked, "{text}");
    };
    check("vectors", "[[6.0, 0.5], [6.0, 0.5]]", &["2 texts, false, 256, None"]).await;
    check("vectors for all", "[[6.0, 0.5]]", &["1 texts, true, 256, Some(\"encoder\")"]).await;
    let strange = "Error::Other(\"the owner 'the moon' is not known here\")";
    check("vectors for nobody", strange, &[]).await;
    let answer = "because by expert_coding, FinishReason::Length";
    check("ask", answer, &["[(\"user\", \"why?\")] 7 4096 false"]).await;
    let labels = "[(\"one\", None), (\"two\", None)]";
    let asked = [
        "a text Predicate(\"So?\", [Some(\"it is\"), None])".to_owned(),
        format!("a text Choice(\"Which?\", {labels})"),
        format!("a text Score(\"Which?\", {labels})"),
    ];
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    check("decide", "[[0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]", &asked).await;
    let of = |expert: &str| format!("cached for {expert}");
    let asked = ["expert_general", "expert_coding", "expert_technical"].map(of);
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    check("cached", "[None, Some(12), None]", &asked).await;
}

#[tokio::test]
async fn nobody_is_asked_for_a_call_that_is_nobodys() {
    let scene = Scene::new(|_| {}).await;
    for text in ["vectors", "ask", "decide"] {
        let said = scene.reason(text).await;
        assert!(said.starts_with("Error::Unavailable(\"no expert can be asked here"), "{said}");
    }
    assert_eq!(scene.reason("cached").await, "[None, None, None]");
}

#[tokio::test]
async fn a_call_has_so_many_questions_tokens_and_texts_and_no_more() {
    let scene = Scene::new(|_| {}).await;
    let script = Arc::new(Script::default());
    let said = reason(&scene, &lent("ask often", &script)).await;
    let answers: Vec<&str> = said.split("; ").collect();
    assert!(answers[..4].iter().all(|answer| answer.starts_with("because")), "{said}");
    assert!(said.contains("OutOfBudget(\"the policy has had its 4 questions"), "{said}");
    let left: Vec<String> = script.seen();
    assert!(left[3].ends_with(&format!("{} false", 4096 - 3 * 40)), "{left:?}");
    let said = reason(&scene, &lent("vectors of many", &script)).await;
    assert!(said.starts_with("Error::TooLarge(\"the policy wants vectors of 300 texts"), "{said}");
    assert_eq!(script.seen(), [""; 0], "nobody was asked");
    let scene = Scene::new(|settings| settings.limits.inference_tokens = 100).await;
    let said = reason(&scene, &lent("ask often", &script)).await;
    assert!(said.contains("OutOfBudget(\"the policy has had its 100 tokens"), "{said}");
    assert_eq!(script.seen().len(), 3);
}

#[tokio::test]
async fn waiting_for_an_expert_is_bounded_and_not_the_guests_own_time() {
    let scene = Scene::new(|settings| {
        settings.limits.route_deadline_ms = 200;
        settings.limits.inference_ms = 1000;
    })
    .await;
    let script = Arc::new(Script { slow: Duration::from_millis(400), ..Script::default() });
    let said = reason(&scene, &lent("ask", &script)).await;
    assert!(said.starts_with("because"), "twice the deadline passed with the host: {said}");
    let said = reason(&scene, &lent("ask briefly", &script)).await;
    assert_eq!(said, "Error::OutOfTime(\"too slow\")");
    let said = reason(&scene, &lent("ask often", &script)).await;
    assert!(said.contains("its 1000 ms of waiting for experts"), "{said}");
}

#[tokio::test]
async fn what_experts_spent_is_counted_by_policy_and_by_call() {
    let scene = Scene::new(|_| {}).await;
    let (script, call) = (Arc::new(Script::default()), says("ask often"));
    let call = Call { on_behalf: OnBehalf::of(script.clone()), ..call };
    reason(&scene, &call).await;
    let run = &call.runs.all()[0];
    assert_eq!((run.hook, run.calls, run.asks, run.asked_tokens), (Hook::Route, 1, 4, 160));
    let counters = &scene.policies.show("guest").unwrap().counters[&Hook::Route];
    assert_eq!((counters.asks, counters.asked_tokens), (4, 160));
}

#[tokio::test]
async fn who_is_only_compared_asks_aside() {
    let scene = Scene::new(|_| {}).await;
    let candidate = scene.upload("guest", &variant(1)).await;
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    let script = Arc::new(Script::default());
    reason(&scene, &lent("ask", &script)).await;
    let asked = || script.seen.lock().unwrap().clone();
    until(|| asked().len() == 2).await;
    let aside: Vec<bool> = asked().iter().map(|asked| asked.ends_with("true")).collect();
    assert_eq!(aside, [false, true]);
}
