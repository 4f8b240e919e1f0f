//! Bounds of the log, in memory and on disk, and what is in it after a restart.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use signalbox_engine::{Ends, EngineError, Progress, Sampling};
use signalbox_policy::{ConsensusMode, ExpertState, ExpertView, Message, Plan, PolicyRef, Rating};

use super::{log::Keep, record::RECORD_BYTES_MAX, *};
use crate::{
    caller::Caller,
    limits::{DECISION_QUEUE_BYTES_MAX, DECISION_QUEUE_MAX},
    otel::Tracer,
    pipeline::{Form, Pictures, Refusal, Route, Wishes, call::Call, choice::Choice},
    settings::LoggedText,
};

fn call(id: &str) -> Call {
    let view = signalbox_policy::Call {
        id: id.to_owned(),
        model: Some(hostile()),
        ..signalbox_policy::Call::default()
    };
    Call {
        view,
        caller: Caller::owner(&hostile()),
        pictures: Pictures::default(),
        wishes: Wishes::default(),
        form: Form::Chat,
        sampling: Sampling::default(),
        stop: vec![],
        ends: Ends::default(),
        progress: Progress::default(),
    }
}

fn keep(records: usize, bytes_max: usize, folder: Option<&Path>, text: LoggedText) -> Keep {
    Keep {
        records,
        bytes_max,
        folder: folder.map(Path::to_path_buf),
        disk_bytes_max: 8 << 20,
        text,
        text_bytes_max: 1000,
        ratable_bytes_max: 0,
        tracer: Tracer::new(None),
    }
}

/// Long, of several lines, and with a change of direction.
fn hostile() -> String {
    "a\nforged\u{202e} line ".repeat(20_000)
}

fn choice(plan: Plan) -> Choice {
    let tags = vec![(hostile(), hostile()); 500];
    let route = Route::Policy(PolicyRef { name: hostile(), revision: "0".into() });
    Choice { route, plan, reason: hostile(), confidence: Some(1.0), tags, told: None }
}

/// So many experts of this name.
fn menu(experts: usize, id: &str) -> Vec<ExpertView> {
    let view = |_| ExpertView {
        id: id.to_owned(),
        domain: "general".into(),
        description: String::new(),
        priority: 0,
        capabilities: vec![],
        context_length: 1,
        state: ExpertState::Cold,
        resident_bytes: 0,
        queue_depth: 0,
        estimated_wait_ms: Some(1),
        estimated_load_ms: None,
        tokens_per_second: None,
    };
    (0..experts).map(view).collect()
}

/// Logs one call in which everything is as large as it can be.
fn fill(log: &Decisions) {
    let call = call(&hostile());
    let mut trace = log.begin(&call);
    let (members, mode) = (vec![hostile(); 100], ConsensusMode::Turns);
    trace.routing(&call.view, &menu(20, &hostile()));
    trace.chose(&choice(Plan::Consensus { members, judge: Some(hostile()), mode }));
    for _ in 0..100 {
        trace.tried(&hostile(), &EngineError::UnknownExpert { expert: hostile() });
    }
    trace.answering(&hostile());
    trace.failed(Refusal::NoExpert { failed: vec![hostile()] });
}

#[test]
fn a_record_has_a_largest_size_whatever_strangers_write() {
    let log = Decisions::in_memory(1, 1 << 30);
    fill(&log);
    let record = log.recent(1).remove(0);
    assert!(record.bytes() <= RECORD_BYTES_MAX, "{}", record.bytes());
    let json = serde_json::to_value(&*record).unwrap();
    assert_eq!(json["plan"]["consensus"]["members"].as_array().unwrap().len(), 17);
    assert_eq!(json["plan"]["consensus"]["members"][16], "… and 84 more");
    assert_eq!(json["tags"].as_array().unwrap().len(), 17);
    let text = json.to_string();
    assert!(text.len() <= 2 * RECORD_BYTES_MAX, "{}", text.len());
    assert!(!text.contains("a\\nforged") && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn the_log_has_a_largest_size() {
    let log = Decisions::in_memory(1000, 64 << 10);
    (0..50).for_each(|_| fill(&log));
    let (bytes, sum, records) = log.held();
    assert_eq!(bytes, sum);
    assert!(sum <= 64 << 10 && records >= 2, "{sum}");
}

#[test]
fn the_newest_are_kept_and_calls_of_one_name_are_distinguished() {
    let log = Decisions::in_memory(2, 1 << 20);
    for _ in 0..3 {
        drop(log.begin(&call("mine")));
    }
    let json = |record: &Arc<Record>| serde_json::to_value(&**record).unwrap();
    let kept: Vec<_> = log.recent(9).iter().map(json).collect();
    let message = |record: &serde_json::Value| (record["id"].clone(), record["number"].clone());
    let expect = |number: u64| ("mine".into(), number.into());
    assert_eq!(kept.iter().map(message).collect::<Vec<_>>(), [expect(3), expect(2)]);
}

/// A call that says `text`.
fn says(text: &str) -> Call {
    let mut call = call("mine");
    let message = Message { role: "user".into(), content: text.into(), origin: Some(0) };
    call.view.messages = vec![message];
    call
}

/// Logs a call that says `text` and is changed to `routed` before it is routed; what it is called.
fn routed(log: &Decisions, text: &str, routed: &str) -> String {
    let (call, other) = (says(text), says(routed));
    let mut trace = log.begin(&call);
    trace.shown(&call.view);
    trace.routing(&other.view, &menu(1, "expert"));
    trace.decision().to_owned()
}

async fn written(log: &Decisions) {
    log.written(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn what_was_logged_is_there_after_a_restart_and_what_is_torn_is_not() {
    let root = tempfile::tempdir().unwrap();
    let open =
        |records| Decisions::open(keep(records, 1 << 20, Some(root.path()), LoggedText::Off));
    let log = open(9);
    let names: Vec<String> = (0..5).map(|_| routed(&log, "hello", "hello")).collect();
    written(&log).await;
    drop(log);
    let file = root.path().join("000000000001.jsonl");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("not a decision\n{\"record\": {\"number\": 1, \"dec");
    std::fs::write(&file, text).unwrap();
    let log = open(2);
    assert_eq!(log.recent(9).len(), 2, "as many as fit in memory");
    for name in &names {
        assert!(log.find(name).unwrap().record.is_called(name), "{name}");
    }
    assert!(log.find("00000000-1").is_none());
    let next = routed(&log, "again", "again");
    written(&log).await;
    assert!(open(9).find(&next).is_some(), "a line behind a torn one is whole");
}

#[tokio::test]
async fn texts_stand_in_the_log_only_where_they_may_and_fit() {
    let check = |text: LoggedText, said: &'static str, edited: &'static str| async move {
        let root = tempfile::tempdir().unwrap();
        let log = Decisions::open(keep(9, 1 << 20, Some(root.path()), text));
        let name = routed(&log, said, edited);
        written(&log).await;
        let found = log.find(&name).unwrap();
        let line = std::fs::read_to_string(root.path().join("000000000001.jsonl")).unwrap();
        let record = serde_json::to_value(&*found.record).unwrap();
        (found.seen, record["input"].clone(), line.contains("secret"))
    };
    let (seen, input, told) = check(LoggedText::Off, "a secret", "a secret").await;
    assert_eq!((seen, told, &input["sha256"]), (None, false, &serde_json::Value::Null));
    assert_eq!((&input["messages"], &input["text_bytes"]), (&1.into(), &8.into()));
    let (seen, input, told) = check(LoggedText::Hashes, "a secret", "a secret").await;
    assert_eq!((seen, told), (None, false));
    // printf 'user\0a secret\0' | sha256sum
    let sha256 = "a3f3bfb12e5118f802209bfdbeb414dd728bb93199f6304bd262efaffa21e9f3";
    assert_eq!(input["sha256"], sha256);
    let (seen, input, told) = check(LoggedText::Full, "a secret", "a secret").await;
    let seen = seen.unwrap();
    assert_eq!((&seen.call.messages[0].content, told), (&"a secret".to_owned(), true));
    assert_eq!((seen.routed, seen.menu.len(), &input["text"]), (None, 1, &true.into()));
    let (seen, ..) = check(LoggedText::Full, "a secret", "no more").await;
    assert_eq!(seen.unwrap().routed.unwrap().messages[0].content, "no more");
    let long: &'static str = "secret ".repeat(200).leak();
    for (said, edited) in [(long, "short"), ("short", long)] {
        let (seen, input, told) = check(LoggedText::Full, said, edited).await;
        assert_eq!((seen, told, &input["text"]), (None, false, &false.into()));
    }
}

#[tokio::test]
async fn a_disk_that_can_not_be_used_costs_the_files_only() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("decisions");
    std::fs::write(&folder, "a file where the folder should be").unwrap();
    let log = Decisions::open(keep(9, 1 << 20, Some(&folder), LoggedText::Full));
    let name = routed(&log, "hello", "hello");
    written(&log).await;
    assert!(log.find(&name).is_some(), "from memory");
    let counts = log.counts().unwrap();
    assert_eq!((count(&counts.written), count(&counts.dropped_by_disk)), (0, 1));
}

#[tokio::test]
async fn more_than_the_queue_holds_is_dropped_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let mut keep = keep(9, 1 << 30, Some(root.path()), LoggedText::Full);
    keep.text_bytes_max = usize::MAX;
    let log = Decisions::open(keep);
    let huge = "x".repeat(DECISION_QUEUE_BYTES_MAX / 4);
    for _ in 0..4 * DECISION_QUEUE_MAX {
        drop(log.begin(&says("")));
    }
    (0..6).for_each(|_| drop(routed(&log, &huge, &huge)));
    written(&log).await;
    let counts = log.counts().unwrap();
    let (seen_to, dropped) = (count(&counts.written), count(&counts.dropped_waiting));
    assert_eq!(seen_to + dropped, 4 * DECISION_QUEUE_MAX as u64 + 6);
    assert!(dropped > 0, "{dropped}");
}

#[tokio::test]
async fn recorded_calls_are_replayed_within_bounds() {
    let root = tempfile::tempdir().unwrap();
    let log = Decisions::open(keep(9, 1 << 20, Some(root.path()), LoggedText::Full));
    let long = "x".repeat(2000); // more than is written down of one call
    for text in ["one", "two", long.as_str(), "three"] {
        routed(&log, text, text);
    }
    written(&log).await;
    let said = |since, calls, bytes| -> Vec<String> {
        let recorded = log.recorded(since, calls, bytes).into_iter();
        recorded.map(|seen| seen.call.messages[0].content.clone()).collect()
    };
    assert_eq!(said(0, 9, 1 << 20), ["three", "two", "one"]);
    assert_eq!(said(0, 2, 1 << 20), ["three", "two"]);
    assert_eq!(said(0, 9, 2 * 517).len(), 2, "of which each has five bytes at most and one expert");
    assert!(said(u64::MAX, 9, 1 << 20).is_empty(), "before that time");
}

#[tokio::test]
async fn a_rating_of_its_caller_stands_in_the_record_and_in_the_files() {
    let root = tempfile::tempdir().unwrap();
    let open =
        |records| Decisions::open(keep(records, 1 << 20, Some(root.path()), LoggedText::Off));
    let log = open(9);
    let name = routed(&log, "hello", "hello");
    let (owner, other) = (Caller::owner(&hostile()), Caller::owner("other"));
    let rating = || Rating { value: 0.5, note: Some(hostile()) };
    assert_eq!(log.rate(&name, &other, rating()), Err(Unrated::Unknown));
    assert_eq!(log.rate("none", &owner, rating()), Err(Unrated::Unknown));
    assert_eq!(log.rate(&name, &owner, rating()), Ok(()));
    assert_eq!(log.rate(&name, &owner, rating()), Err(Unrated::Already));
    let (bytes, sum, _) = log.held();
    assert_eq!(bytes, sum);
    let rated = |log: &Decisions| {
        let record = serde_json::to_value(&*log.find(&name).unwrap().record).unwrap();
        let note = record["rating"]["note"].as_str().map(str::len);
        (record["rating"]["value"].as_f64(), note.is_some_and(|bytes| bytes <= 1100))
    };
    assert_eq!(rated(&log), (Some(0.5), true));
    routed(&log, "newer", "newer");
    written(&log).await;
    drop(log);
    assert_eq!(rated(&open(9)), (Some(0.5), true), "in memory again");
    let log = open(1);
    assert_eq!((log.recent(9).len(), rated(&log)), (1, (Some(0.5), true)), "from the files");
    assert_eq!(open(9).rate(&name, &owner, rating()), Err(Unrated::Already));
}

fn count(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}
