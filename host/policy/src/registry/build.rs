//! A revision's code: at hand, from the cache, or compiled.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::Registry;
use crate::{
    code::Code,
    compile::{Haste, NotCompiled},
    program::Program,
};

/// A program, and how it was come by.
pub(super) struct Built {
    pub(super) program: Arc<Program>,
    /// Milliseconds spent compiling; 0 when it was compiled before.
    pub(super) compile_ms: u64,
    /// Code that the cache does not have yet.
    new: Option<Code>,
}

impl Registry {
    /// The code of `component`, whose revision is `revision`. Slow; never on a thread that serves.
    pub(super) fn build(
        &self,
        revision: &str,
        component: &[u8],
        haste: Haste,
    ) -> Result<Built, NotCompiled> {
        if let Some(program) = self.book().programs.get(revision) {
            return Ok(Built { program: program.clone(), compile_ms: 0, new: None });
        }
        if let Some(program) = self.cached(revision) {
            return Ok(Built { program, compile_ms: 0, new: None });
        }
        let started = Instant::now();
        let rules = self.rules.load_full();
        let code = rules.settings.compile.run(component, &rules.limits, haste)?;
        let compile_ms = (started.elapsed().as_millis() as u64).max(1);
        tracing::info!(revision, compile_ms, bytes = code.bytes().len(), "compiled");
        let program = Program::new(&self.runtime, &code).map_err(NotCompiled::Host)?;
        let program = Arc::new(program.map_err(NotCompiled::Component)?);
        Ok(Built { program, compile_ms, new: Some(code) })
    }

    /// A cached entry that can't be run is forgotten, like one that is damaged.
    fn cached(&self, revision: &str) -> Option<Arc<Program>> {
        let code = self.cache.load(revision)?;
        match Program::new(&self.runtime, &code) {
            Ok(Ok(program)) => {
                tracing::info!(revision, "code comes from the cache");
                return Some(Arc::new(program));
            }
            Ok(Err(problem)) => tracing::warn!(revision, "cached code can't be run: {problem}"),
            Err(problem) => tracing::warn!(revision, "cached code can't be loaded: {problem}"),
        }
        self.cache.forget(revision);
        None
    }

    /// Keeps new code for the next start. Only for revisions that are stored: an upload that is
    /// refused leaves nothing.
    pub(super) fn remember(&self, revision: &str, built: &Built, needed: &BTreeSet<String>) {
        if let Some(code) = &built.new {
            self.cache.store(revision, code, needed);
        }
    }
}
