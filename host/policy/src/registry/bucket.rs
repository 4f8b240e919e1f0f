//! What policies keep, seen and set from outside: for tools that run a policy in surroundings of their own.

use std::{collections::BTreeMap, io};

use super::Policies;

impl Policies {
    /// Every key of `policy`, and what stands under it.
    ///
    /// # Errors
    /// A bucket that can't be read.
    pub fn kept(&self, policy: &str) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let bucket = self.0.buckets.of(policy);
        let (mut kept, mut after) = (BTreeMap::new(), None::<String>);
        loop {
            let (keys, next) = bucket.keys(after.as_deref()).map_err(io::Error::other)?;
            for key in keys {
                let value = bucket.get(&key).map_err(io::Error::other)?;
                kept.extend(value.map(|value| (key, value.to_vec())));
            }
            after = next;
            if after.is_none() {
                return Ok(kept);
            }
        }
    }

    /// Has `policy` keep these and nothing else.
    ///
    /// # Errors
    /// A bucket that can't be read, entries beyond its quota.
    pub fn keep(&self, policy: &str, entries: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let bucket = self.0.buckets.of(policy);
        for key in self.kept(policy)?.keys() {
            bucket.delete(key).map_err(io::Error::other)?;
        }
        for (key, value) in entries {
            bucket.set(key, value).map_err(io::Error::other)?;
        }
        Ok(())
    }
}
