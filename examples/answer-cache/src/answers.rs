//! Answers in the policy's bucket, each with the second before it in which it ends.

use std::time::{SystemTime, UNIX_EPOCH};

use signalbox_sdk::{
    config,
    keyvalue::{self, Bucket, Error},
    log,
};

/// Used for `seconds`, when the operator sets none.
const SECONDS: u64 = 3600;

/// The answer under `key`, if there is one that has not ended.
pub(crate) fn kept(key: &str) -> Option<String> {
    let found = keyvalue::open().and_then(|bucket| read(&bucket, key));
    found.unwrap_or_else(|error| {
        log::warn(format_args!("no answer is found: {error}"));
        None
    })
}

/// Keeps an answer, if there is room for it.
pub(crate) fn keep(key: &str, answer: &str) {
    let end = now().saturating_add(config::parse("seconds", SECONDS));
    let value = format!("{end} {answer}");
    let kept = keyvalue::open().and_then(|bucket| write(&bucket, key, value.as_bytes()));
    if let Err(error) = kept {
        log::warn(format_args!("an answer is not kept: {error}"));
    }
}

fn read(bucket: &Bucket, key: &str) -> Result<Option<String>, Error> {
    let text = bucket.get(key)?.and_then(|value| String::from_utf8(value).ok());
    let lives = |end: &str| end.parse::<u64>().is_ok_and(|end| end > now());
    let parts = text.as_deref().and_then(|text| text.split_once(' '));
    Ok(parts.filter(|(end, _)| lives(end)).map(|(_, answer)| answer.to_owned()))
}

/// Where there is no room, what has ended makes room.
fn write(bucket: &Bucket, key: &str, value: &[u8]) -> Result<(), Error> {
    if bucket.set(key, value).is_ok() {
        return Ok(());
    }
    for old in bucket.keys()? {
        if read(bucket, &old)?.is_none() {
            bucket.delete(&old)?;
        }
    }
    bucket.set(key, value)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
