//! What a policy keeps from one call to the next: keys and values in its own bucket, which all its revisions share.
//!
//! The bucket has a quota (`policies.limits.bucket_bytes` and `.bucket_entries`); what does not fit is an error. It
//! outlives the host, but for what was not on disk yet when it was killed: most often the last second.
//!
//! ```
//! use signalbox_sdk::keyvalue;
//!
//! let bucket = keyvalue::open()?;
//! assert_eq!(bucket.increment("calls", 1)?, 1);
//! bucket.update("longest", |value| value.into_iter().chain([b"hello".to_vec()]).max().unwrap())?;
//! assert_eq!(bucket.get("longest")?.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), keyvalue::Error>(())
//! ```

use std::fmt;

use crate::bindings::wasi::keyvalue::store;
use crate::host;

/// What a host calls the bucket of whoever asks.
const OWN: &str = "default";

/// Why a bucket did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The host has no bucket for this policy.
    NoSuchStore,
    /// The host lets this policy have none.
    AccessDenied,
    /// Something else, in words: it is full, a value is no number, its file is damaged.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStore => f.write_str("the host has no bucket for this policy"),
            Self::AccessDenied => f.write_str("this policy may have no bucket"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NoSuchStore => Self::NoSuchStore,
            store::Error::AccessDenied => Self::AccessDenied,
            store::Error::Other(what) => Self::Other(what),
        }
    }
}

/// Keys and values. A key has 1 to 256 bytes.
#[derive(Debug)]
pub struct Bucket(host::Bucket);

/// The policy's bucket.
///
/// # Errors
/// When the host has none for it.
pub fn open() -> Result<Bucket, Error> {
    Ok(Bucket(host::open(OWN)?))
}

impl Bucket {
    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// When the bucket can't be read.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    /// Gives `key` this value.
    ///
    /// # Errors
    /// When it does not fit, or the bucket can't be read.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        Ok(self.0.set(key, value)?)
    }

    /// Takes `key` out; does nothing where it is not there.
    ///
    /// # Errors
    /// When the bucket can't be read.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    /// Whether `key` is there.
    ///
    /// # Errors
    /// When the bucket can't be read.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    /// Every key, page by page.
    ///
    /// # Errors
    /// When the bucket can't be read.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.0.list_keys(cursor.as_deref())?;
            keys.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Adds `delta` to the number that `key` has in decimal digits, 0 where it is not there; the sum. Calls that do this at
    /// the same time lose nothing.
    ///
    /// # Errors
    /// When the value is no number, the sum does not fit, or the bucket can't be read.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        Ok(host::increment(&self.0, key, delta)?)
    }

    /// Makes a new value of the one that `key` has. Where another call was there meanwhile, `change` is asked again.
    ///
    /// # Errors
    /// When the value does not fit, or the bucket can't be read.
    pub fn update(
        &self,
        key: &str,
        change: impl FnMut(Option<Vec<u8>>) -> Vec<u8>,
    ) -> Result<(), Error> {
        Ok(host::update(&self.0, key, change)?)
    }
}
