//! What a start makes of what is on disk: nothing that was in force is dropped. A component that can't
//! be run gives way to the last good one or keeps its place out of service; a state that can't be read
//! seals the registry until an operator decides.

use std::{sync::Arc, thread};

use super::{PAUSE_MAX, PAUSE_MIN, Policies, Registry, book::Book, ledger::Ledger, names};
use crate::{
    Activation, Cause, PolicyError, PolicyRef,
    seat::{Unusable, now_ms},
};

impl Policies {
    /// Why it is unknown which policies are in force; then no call is let through. `None` for a
    /// registry that knows.
    pub fn unreadable(&self) -> Option<String> {
        self.0.current.load().sealed.clone()
    }
}

impl Registry {
    /// Gets the code of what should be in force, reporting to `progress` what is under way.
    pub(super) fn start(self: &Arc<Self>, progress: &dyn Fn(String)) -> Result<(), PolicyError> {
        let book = self.book();
        if let Some(problem) = &book.unreadable {
            tracing::error!("{}", PolicyError::Unreadable { problem: problem.clone() });
        }
        let mut ledger = book.ledger.clone();
        drop(book);
        for id in ledger.active().collect::<Vec<_>>() {
            match self.ready(&id, progress) {
                Err(PolicyError::Unusable { problem, .. }) => {
                    self.replace(&mut ledger, id, problem, progress)?;
                }
                done => done?,
            }
        }
        for id in ledger.shadows().collect::<Vec<_>>() {
            match self.ready(&id, progress) {
                Err(PolicyError::Unusable { problem, .. }) => {
                    tracing::warn!("policy {id} does not work in shadow any more: {problem}");
                    ledger.uncast(&id.name)?;
                }
                done => done?,
            }
        }
        for id in ledger.canaries().collect::<Vec<_>>() {
            match self.ready(&id, progress) {
                Err(PolicyError::Unusable { problem, .. }) => {
                    let problem = format!("the canary {id} was ended: it can't be run: {problem}");
                    ledger.end_canary(&id, Cause::Start, &problem, now_ms());
                    self.count_end(&id, Cause::Start);
                    tracing::error!("{problem}");
                }
                done => done?,
            }
        }
        for id in ledger.active().filter(|id| names::is_an_experts(&id.name, &*self.world)) {
            tracing::error!("policy {id} stays in force, but {}", names::taken(&id.name));
        }
        self.commit(&mut self.book(), ledger, &|_| true)
    }

    /// Sees to it that the code of a stored revision is at hand. What can't be had for want of
    /// processes or memory is tried until it can.
    fn ready(&self, id: &PolicyRef, progress: &dyn Fn(String)) -> Result<(), PolicyError> {
        let mut pause = PAUSE_MIN;
        while !self.book().programs.contains_key(&id.revision) {
            progress(format!("policy {id} is being loaded or compiled"));
            match self.obtain(id) {
                Ok(program) => drop(self.book().programs.insert(id.revision.clone(), program)),
                Err(PolicyError::Compiler { problem }) => {
                    tracing::error!("policy {id} waits to be compiled: {problem}");
                    progress(format!("policy {id} waits to be compiled: {problem}"));
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Another revision, if a good one can be had, takes over from one that can't be run; else it
    /// keeps its place out of service.
    fn replace(
        &self,
        ledger: &mut Ledger,
        id: PolicyRef,
        problem: String,
        progress: &dyn Fn(String),
    ) -> Result<(), PolicyError> {
        let good = ledger.successor(&id.name);
        let good = good.map(|revision| PolicyRef { name: id.name.clone(), revision });
        let ready = match good.map(|good| self.ready(&good, progress)) {
            None | Some(Err(PolicyError::Unusable { .. })) => false,
            Some(done) => done.map(|()| true)?,
        };
        if ready && ledger.demote(&id, Cause::Start, &problem, now_ms()).is_some() {
            tracing::error!(
                "policy {id} can't be run; its last good revision took over: {problem}"
            );
            return Ok(());
        }
        tracing::error!(
            "policy {id} can't be run and is out of service; upload it again or roll back: {problem}"
        );
        let unusable = Unusable { problem, since_unix_ms: now_ms() };
        self.book().unusable.insert(id, unusable);
        Ok(())
    }

    /// Before a revision that is out of service through its component is put in force again: tries
    /// it again.
    pub(super) fn retry(self: &Arc<Self>, name: &str, revision: &str) -> Result<(), PolicyError> {
        let book = self.book();
        let revision = book.ledger.resolve(name, revision)?;
        let id = PolicyRef { name: name.to_string(), revision };
        let given_up = book.unusable.contains_key(&id);
        drop(book);
        if given_up {
            let program = self.fetch(&id)?;
            let mut book = self.book();
            book.programs.insert(id.revision.clone(), program);
            self.mended(&mut book, &id.revision);
        }
        Ok(())
    }

    /// The component of a revision can be run again: it goes back to its seat.
    pub(super) fn mended(self: &Arc<Self>, book: &mut Book, revision: &str) {
        let before = book.unusable.len();
        book.unusable.retain(|id, _| id.revision != revision);
        if book.unusable.len() < before {
            let ledger = book.ledger.clone();
            let set = self.assemble(book, &ledger, &|_| true);
            self.current.store(Arc::new(set));
            tracing::info!(revision, "a policy's component can be run again; it is in service");
        }
    }

    /// A change that says all of what is to be in force, so it counts where the state can't be read:
    /// that state is kept aside and this one written.
    pub(super) fn decide(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Result<Activation, PolicyError>,
    ) -> Result<Activation, PolicyError> {
        self.change_then(edit, Book::unseal)
    }
}

impl Unusable {
    /// For code that is not at hand for a reason nobody recorded.
    pub(super) fn unknown() -> Self {
        Self { problem: "its code is not at hand".into(), since_unix_ms: now_ms() }
    }
}
