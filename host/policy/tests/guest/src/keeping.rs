//! What the guest does with its bucket when it is told to; it says what came of it.

use crate::bindings::wasi::keyvalue::{
    atomics::{self, Cas, CasError},
    store::{self, Bucket, Error},
};

pub(crate) fn reason(message: &str) -> String {
    let Ok(bucket) = store::open("guest") else { return "no bucket".into() };
    match message {
        "count" => counted(&bucket),
        "count twice" => {
            let first = counted(&bucket);
            format!("{first} {}", counted(&bucket))
        }
        "fill" => (0..).find_map(|n| set(&bucket, n).err()).map(said).unwrap_or_default(),
        "swap" => swapped(&bucket).map_or_else(said, |()| "swapped".into()),
        _ => {
            let others = ["other", "", "default"].map(|name| store::open(name).is_ok());
            format!("{others:?} {:?}", bucket.list_keys(None).map(|page| page.keys).ok())
        }
    }
}

fn counted(bucket: &Bucket) -> String {
    atomics::increment(bucket, "calls", 1).map_or_else(said, |sum| sum.to_string())
}

fn set(bucket: &Bucket, n: u32) -> Result<(), Error> {
    bucket.set(&n.to_string(), &[7; 1000])
}

/// Between looking and swapping, somebody else was there.
fn swapped(bucket: &Bucket) -> Result<(), Error> {
    let cas = Cas::new(bucket, "key")?;
    bucket.set("key", b"theirs")?;
    let again = match atomics::swap(cas, b"mine") {
        Err(CasError::CasFailed(again)) => again,
        other => return Err(Error::Other(format!("it swapped over theirs: {other:?}"))),
    };
    let value = again.current()?;
    if value.as_deref() != Some(b"theirs") {
        return Err(Error::Other(format!("it shows {value:?}")));
    }
    atomics::swap(again, b"mine").map_err(|error| Error::Other(error.to_string()))
}

fn said(error: Error) -> String {
    match error {
        Error::Other(what) => what,
        other => format!("{other:?}"),
    }
}
