//! `wasi:keyvalue`: what a policy keeps from one call to the next, in the one bucket that it has.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::shown::{OpenBucket, Swap};
use crate::{
    bindings::wasi::keyvalue::{atomics, store},
    buckets::{Bucket, Problem},
    store::State,
};

/// What a policy may call its bucket, beside its own name.
const DEFAULT: &str = "default";

impl From<Problem> for store::Error {
    fn from(problem: Problem) -> Self {
        Self::Other(problem.to_string())
    }
}

type Said<T> = wasmtime::Result<Result<T, store::Error>>;

impl State {
    fn opened(&self, this: &Resource<OpenBucket>) -> wasmtime::Result<&Arc<Bucket>> {
        Ok(&self.table.get(this)?.0)
    }
}

impl store::Host for State {
    /// Other policies' names are nothing that it could find out here.
    fn open(&mut self, identifier: String) -> Said<Resource<OpenBucket>> {
        if identifier != DEFAULT && identifier != self.lent.policy.name {
            return Ok(Err(store::Error::NoSuchStore));
        }
        let bucket = self.bucket();
        Ok(Ok(self.table.push(OpenBucket(bucket))?))
    }
}

impl store::HostBucket for State {
    fn get(&mut self, this: Resource<OpenBucket>, key: String) -> Said<Option<Vec<u8>>> {
        let value = self.opened(&this)?.get(&key);
        Ok(value.map(|value| value.map(|value| value.to_vec())).map_err(Into::into))
    }

    fn set(&mut self, this: Resource<OpenBucket>, key: String, value: Vec<u8>) -> Said<()> {
        Ok(self.opened(&this)?.set(&key, &value).map_err(Into::into))
    }

    fn delete(&mut self, this: Resource<OpenBucket>, key: String) -> Said<()> {
        Ok(self.opened(&this)?.delete(&key).map_err(Into::into))
    }

    fn exists(&mut self, this: Resource<OpenBucket>, key: String) -> Said<bool> {
        Ok(self.opened(&this)?.exists(&key).map_err(Into::into))
    }

    fn list_keys(
        &mut self,
        this: Resource<OpenBucket>,
        cursor: Option<String>,
    ) -> Said<store::KeyResponse> {
        let page = self.opened(&this)?.keys(cursor.as_deref());
        let page = page.map(|(keys, cursor)| store::KeyResponse { keys, cursor });
        Ok(page.map_err(Into::into))
    }

    fn drop(&mut self, this: Resource<OpenBucket>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl atomics::Host for State {
    fn increment(&mut self, bucket: Resource<OpenBucket>, key: String, delta: i64) -> Said<i64> {
        Ok(self.opened(&bucket)?.increment(&key, delta).map_err(Into::into))
    }

    fn swap(
        &mut self,
        cas: Resource<Swap>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Swap { bucket, key, seen } = self.table.delete(cas)?;
        Ok(match bucket.swap(&key, seen, &value) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(seen)) => {
                let again = self.table.push(Swap { bucket, key, seen })?;
                Err(atomics::CasError::CasFailed(again))
            }
            Err(problem) => Err(atomics::CasError::StoreError(problem.into())),
        })
    }
}

impl atomics::HostCas for State {
    fn new(&mut self, bucket: Resource<OpenBucket>, key: String) -> Said<Resource<Swap>> {
        let bucket = self.opened(&bucket)?.clone();
        match bucket.look(&key) {
            Ok((_, seen)) => Ok(Ok(self.table.push(Swap { bucket, key, seen })?)),
            Err(problem) => Ok(Err(problem.into())),
        }
    }

    fn current(&mut self, this: Resource<Swap>) -> Said<Option<Vec<u8>>> {
        let swap = self.table.get_mut(&this)?;
        match swap.bucket.look(&swap.key) {
            Ok((value, seen)) => {
                swap.seen = seen;
                Ok(Ok(value.map(|value| value.to_vec())))
            }
            Err(problem) => Ok(Err(problem.into())),
        }
    }

    fn drop(&mut self, this: Resource<Swap>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
