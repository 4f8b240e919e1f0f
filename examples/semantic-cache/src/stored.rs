//! Groups of questions in the policy's bucket.

use std::time::{SystemTime, UNIX_EPOCH};

use signalbox_sdk::{
    config,
    keyvalue::{self, Bucket, Error},
    log,
};

use crate::{
    group::{Entry, Group},
    question::Question,
};

/// Used for `seconds`, when the operator sets none.
const SECONDS: u64 = 3600;
/// The cosine from which on questions are the same, when the operator sets no `threshold`.
const THRESHOLD: f32 = 0.97;

/// The answer to what is the same question, if it was asked.
pub(crate) fn find(key: &str, question: &Question) -> Option<String> {
    let found = keyvalue::open().and_then(|bucket| bucket.get(key));
    let found = found.unwrap_or_else(|error| {
        log::warn(format_args!("no answer is found: {error}"));
        None
    });
    let group = Group::read(&found?)?.lives(now());
    group.nearest(question, config::parse("threshold", THRESHOLD)).map(str::to_owned)
}

/// Keeps an answer, if there is room for it.
pub(crate) fn keep(key: &str, question: &Question, answer: &str) {
    let end = now().saturating_add(config::parse("seconds", SECONDS));
    let entry = Entry { end, question: question.clone(), answer: answer.to_owned() };
    let kept = keyvalue::open().and_then(|bucket| write(&bucket, key, &entry));
    if let Err(error) = kept {
        log::warn(format_args!("an answer is not kept: {error}"));
    }
}

/// Where there is no room, groups of which everything has ended make room.
fn write(bucket: &Bucket, key: &str, entry: &Entry) -> Result<(), Error> {
    let add = |before: Option<Vec<u8>>| {
        let group = before.and_then(|bytes| Group::read(&bytes)).unwrap_or_default();
        group.lives(now()).with(entry.clone()).written()
    };
    if bucket.update(key, add).is_ok() {
        return Ok(());
    }
    for old in bucket.keys()? {
        let group = bucket.get(&old)?.and_then(|bytes| Group::read(&bytes)).unwrap_or_default();
        if group.lives(now()).0.is_empty() {
            bucket.delete(&old)?;
        }
    }
    bucket.update(key, add)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
