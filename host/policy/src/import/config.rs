//! `wasi:config/store`: the settings that the operator gave to a policy.

use crate::{bindings::wasi::config::store, store::State};

impl store::Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        Ok(Ok(self.lent.config.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        let every = self.lent.config.iter().map(|(key, value)| (key.clone(), value.clone()));
        Ok(Ok(every.collect()))
    }
}
