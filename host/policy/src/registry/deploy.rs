//! From uploaded bytes to a staged revision.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{Registry, Rules, book::Book, build::Built, disk, ledger::Stored, probe};
use crate::{
    Hook, PolicyError, PolicyRef, Uploaded, compile::Haste, lent::Lent, meter::Meters,
    policy::Policy, program::Program, seat::now_ms,
};

impl Registry {
    /// Validates, compiles, probes and stages an upload. On any error nothing of it stays. Only the
    /// compilation may step back behind other work: a probe has deadlines.
    pub(super) async fn deploy(
        self: Arc<Self>,
        name: &str,
        bytes: Bytes,
        haste: Haste,
        rules: Arc<Rules>,
    ) -> Result<Uploaded, PolicyError> {
        let rejected =
            |reason| PolicyError::Rejected { name: name.into(), reason: Box::new(reason) };
        let (revision, built) = self.compile(name, bytes.clone(), haste).await?;
        let compile_ms = built.compile_ms;
        let policy = PolicyRef { name: name.into(), revision };
        let started = Instant::now();
        probe::run(&self.on_probe(&rules, &policy, &built.program)).await.map_err(rejected)?;
        let probe_ms = started.elapsed().as_millis() as u64;
        let store = move || self.store(policy, &built, &bytes);
        let stored = tokio::task::spawn_blocking(store).await;
        let uploaded =
            stored.map_err(|error| PolicyError::Runtime { problem: error.to_string() })??;
        Ok(Uploaded { compile_ms, probe_ms, ..uploaded })
    }

    /// A component's revision and its code, when it is its turn to be compiled.
    pub(super) async fn compile(
        self: &Arc<Self>,
        name: &str,
        component: Bytes,
        haste: Haste,
    ) -> Result<(String, Built), PolicyError> {
        let rejected =
            |reason| PolicyError::Rejected { name: name.into(), reason: Box::new(reason) };
        let registry = self.clone();
        let build = move || {
            let revision = disk::revision(&component);
            registry.build(&revision, &component, haste).map(|built| (revision, built))
        };
        let built = self.compiler.run(haste, build).await?;
        built.map_err(|error| error.into_error(rejected))
    }

    /// The policy as it is probed by these rules: nothing that it does is counted or reaches an expert.
    pub(super) fn on_probe(
        &self,
        rules: &Rules,
        id: &PolicyRef,
        program: &Arc<Program>,
    ) -> Arc<Policy> {
        let world = Arc::new(probe::ProbeWorld::new(&*self.world));
        let lent = Lent { world, ..self.lend(rules, id, self.buckets.apart()) };
        Arc::new(self.policy(lent, program.clone(), Arc::new(Meters::new(Arc::default()))))
    }

    /// Puts a revision on disk, then into the state.
    fn store(
        self: &Arc<Self>,
        id: PolicyRef,
        built: &Built,
        bytes: &[u8],
    ) -> Result<Uploaded, PolicyError> {
        let program = &built.program;
        let mut book = self.book();
        let (hooks, imports) = (program.surface.hooks.clone(), program.surface.imports.clone());
        let uploaded = book.report(&id, bytes.len() as u64, hooks.clone(), imports.clone());
        let mut ledger = book.ledger.clone();
        let limit = self.limits().policies as usize;
        if !ledger.policies.contains_key(&id.name) && ledger.policies.len() >= limit {
            return Err(PolicyError::TooMany { limit });
        }
        let revision = id.revision.clone();
        let size = bytes.len() as u64;
        let stored = Stored { revision, bytes: size, uploaded_unix_ms: now_ms(), hooks, imports };
        ledger.add(&id.name, stored, self.limits().revisions as usize);
        if book.disk.load(&id.revision).is_err() {
            book.disk.store(&id.revision, bytes)?;
        }
        book.programs.insert(id.revision.clone(), program.clone());
        book.keep(ledger).inspect_err(|_| book.discard(&id.revision))?;
        self.mended(&mut book, &id.revision);
        let warm = book.ledger.warm();
        drop(book);
        self.remember(&id.revision, built, &warm);
        Ok(uploaded)
    }
}

impl Book {
    /// Removes a component that was stored but could not be named in the state.
    fn discard(&self, revision: &str) {
        if !self.ledger.revisions().any(|known| known == revision) {
            self.disk.forget(revision);
        }
    }

    /// What an upload is, beside the revision in force.
    fn report(
        &self,
        id: &PolicyRef,
        bytes: u64,
        hooks: Vec<Hook>,
        imports: Vec<String>,
    ) -> Uploaded {
        let slot = self.ledger.policies.get(&id.name);
        let current: &[String] =
            slot.and_then(|slot| slot.current()).map_or(&[], |current| &current.imports);
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|import| !those.contains(import)).cloned().collect()
        };
        Uploaded {
            name: id.name.clone(),
            revision: id.revision.clone(),
            bytes,
            hooks,
            imports_gained: only(&imports, current),
            imports_lost: only(current, &imports),
            imports,
            compile_ms: 0,
            probe_ms: 0,
            already_known: slot.is_some_and(|slot| slot.find(&id.revision).is_some()),
        }
    }
}
