//! A bucket in native tests: one map per thread, and nobody else who changes it.

use super::WORLD;
use crate::bindings::wasi::keyvalue::store::{Error, KeyResponse};

#[derive(Debug)]
pub(crate) struct Bucket;

pub(crate) fn open(_identifier: &str) -> Result<Bucket, Error> {
    Ok(Bucket)
}

impl Bucket {
    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(WORLD.with_borrow(|world| world.kept.get(key).cloned()))
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        WORLD.with_borrow_mut(|world| world.kept.insert(key.to_owned(), value.to_owned()));
        Ok(())
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        WORLD.with_borrow_mut(|world| world.kept.remove(key));
        Ok(())
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(WORLD.with_borrow(|world| world.kept.contains_key(key)))
    }

    pub(crate) fn list_keys(&self, _cursor: Option<&str>) -> Result<KeyResponse, Error> {
        let keys = WORLD.with_borrow(|world| world.kept.keys().cloned().collect());
        Ok(KeyResponse { keys, cursor: None })
    }
}

pub(crate) fn increment(bucket: &Bucket, key: &str, delta: i64) -> Result<i64, Error> {
    let digits = bucket.get(key)?.map_or(Ok("0".to_owned()), String::from_utf8);
    let before: i64 = digits.ok().and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Error::Other(format!("the value of '{key}' is no number in decimal digits"))
    })?;
    let sum = before.checked_add(delta);
    let sum = sum.ok_or_else(|| Error::Other("the sum is beyond 64 bits".to_owned()))?;
    bucket.set(key, sum.to_string().as_bytes()).map(|()| sum)
}

pub(crate) fn update(
    bucket: &Bucket,
    key: &str,
    mut change: impl FnMut(Option<Vec<u8>>) -> Vec<u8>,
) -> Result<(), Error> {
    bucket.set(key, &change(bucket.get(key)?))
}
