//! The policies there are and the ones in force. One lock for whoever changes something; whoever
//! answers a call reads one pointer.

mod assemble;
mod book;
mod bucket;
mod build;
mod cache;
mod canary;
mod compiler;
mod configured;
mod deploy;
mod disk;
mod feedback;
mod ledger;
mod names;
pub(crate) mod probe;
mod renew;
mod replay;
mod service;
mod shadow;
mod start;
mod status;
mod upkeep;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::{
    Activation, BreakerSettings, CanarySettings, Limits, Pipeline, PolicyError, PolicyRef,
    PolicySettings, Provenance, Sample, Snapshot, Uploaded, World, buckets::Buckets,
    compile::Haste, lessons::Lessons, program::Program, runtime::Runtime, seat::now_ms,
    snapshot::Set,
};
pub use configured::{Component, Configured, Said, Staged, Unstaged};
pub use replay::{RecordedCall, Replayed};

use book::Book;
use cache::Cache;
use compiler::Compiler;
use disk::{Disk, Opened};
use ledger::Ledger;
use upkeep::Upkeep;

/// Where policies keep what they keep, in the registry's folder.
const BUCKETS: &str = "buckets";
/// Between two tries to compile what should be in force, when the machine has no process for it:
/// at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whether a revision may come into force that imports what the one in force does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewImports {
    /// Somebody who knows the list of them said so.
    Allowed,
    /// Nobody was asked yet.
    Refused,
}

impl From<bool> for NewImports {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

/// The registry of policies. Cheap to clone; everything ends when the last clone is dropped.
///
/// Methods that are not `async` and change something write to disk and wait for it: call them where
/// blocking for some milliseconds is fine.
#[derive(Clone)]
pub struct Policies(Arc<Registry>);

struct Registry {
    rules: ArcSwap<Rules>,
    world: Arc<dyn World>,
    runtime: Arc<Runtime>,
    compiler: Compiler,
    cache: Cache,
    book: Mutex<Book>,
    current: ArcSwap<Set>,
    upkeep: Upkeep,
    buckets: Buckets,
    lessons: Arc<Lessons>,
}

/// What an operator has set. Replaced as a whole under the lock of the book; see `renew.rs`.
struct Rules {
    settings: PolicySettings,
    limits: Arc<Limits>,
}

impl Rules {
    fn new(settings: PolicySettings) -> Self {
        Self { limits: Arc::new(settings.limits.clone()), settings }
    }
}

impl Policies {
    /// Opens the registry in `settings.data_dir` and puts its policies in force. A stored revision
    /// that can't be run gives way to the last good one, or keeps its place out of service. When
    /// the state can't be read, no call is let through until [`Policies::set_pipeline`] says what is
    /// to be in force; see [`Policies::unreadable`].
    ///
    /// Compiles what is in force and not in the code cache, which can take minutes.
    ///
    /// # Errors
    /// Limits out of bounds, a folder that can't be used or belongs to another process, a machine
    /// that can't run WebAssembly.
    pub fn open(settings: PolicySettings, world: Arc<dyn World>) -> Result<Policies, PolicyError> {
        Self::open_reporting(settings, world, &|_| {})
    }

    /// As [`Policies::open`], reporting to `progress` what is under way.
    ///
    /// # Errors
    /// As [`Policies::open`].
    pub fn open_reporting(
        settings: PolicySettings,
        world: Arc<dyn World>,
        progress: &dyn Fn(String),
    ) -> Result<Policies, PolicyError> {
        settings.check()?;
        let Opened { disk, state: ledger, unreadable } = Disk::open(&settings.data_dir)?;
        let rules = Rules::new(settings);
        let (settings, limits) = (&rules.settings, &rules.limits);
        let runtime = Arc::new(Runtime::start(limits)?);
        let cache = Cache::open(&settings.data_dir, runtime.engine(), limits)?;
        if unreadable.is_none() {
            cache.sweep(ledger.revisions());
        }
        let folder = settings.data_dir.join(BUCKETS);
        let buckets = Buckets::open(&folder, limits).map_err(disk::storage(&folder))?;
        let compiler = Compiler::start(limits.upload_queue as usize)?;
        let book = Book {
            disk,
            ledger,
            unreadable,
            unusable: HashMap::new(),
            programs: HashMap::new(),
            meters: HashMap::new(),
            tallies: HashMap::new(),
            lessons: HashMap::new(),
        };
        let lessons = Arc::new(Lessons::new(limits.feedback_bytes as usize));
        let current = ArcSwap::from_pointee(Set::empty(&runtime, &lessons, limits));
        let registry = Arc::new(Registry {
            rules: ArcSwap::from_pointee(rules),
            world,
            runtime,
            compiler,
            cache,
            book: Mutex::new(book),
            current,
            upkeep: Upkeep::default(),
            buckets,
            lessons,
        });
        registry.teach()?;
        registry.start(progress)?;
        Ok(Policies(registry))
    }

    /// Does some work and says where guests were meanwhile, a sample `every` so often while one ran. Guests keep their turns
    /// then, so this is for tools, not for a host that serves.
    pub fn profile<T>(&self, every: Duration, work: impl FnOnce() -> T) -> (T, Vec<Sample>) {
        self.0.runtime.profile(every, work)
    }

    /// The policies in force now, without canaries.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.0.current.load_full())
    }

    /// The policies that answer the calls of a caller now: those in force, and the canaries whose share it is in. One
    /// caller is always in the same ones.
    pub fn snapshot_of(&self, caller: &str) -> Snapshot {
        Snapshot::of_caller(self.0.current.load_full(), caller)
    }

    /// When a canary is ended.
    pub fn canary(&self) -> CanarySettings {
        self.0.rules.load().settings.canary.clone()
    }

    /// The limits in force.
    pub fn limits(&self) -> Arc<Limits> {
        self.0.limits()
    }

    /// When a hook is taken out of service.
    pub fn breaker(&self) -> BreakerSettings {
        self.0.rules.load().settings.breaker.clone()
    }

    /// The registry's folder.
    pub fn data_dir(&self) -> PathBuf {
        self.0.rules.load().settings.data_dir.clone()
    }

    /// Validates, compiles and probes a component, and stores it as a revision of `name`. It is not
    /// in force before [`Policies::activate`].
    ///
    /// # Errors
    /// [`PolicyError::Rejected`] says what the author has to mend; nothing of the upload stays.
    /// [`PolicyError::Busy`] when too many wait. [`PolicyError::Unsigned`] where components have to be signed.
    pub async fn upload(
        &self,
        name: &str,
        bytes: Bytes,
        source: Provenance<'_>,
    ) -> Result<Uploaded, PolicyError> {
        self.take(name, bytes, source, Haste::Upload, self.0.rules.load_full()).await
    }

    /// As [`Policies::upload`], for a component that an operator waits for: it is
    /// compiled before uploads and at normal priority.
    ///
    /// # Errors
    /// As [`Policies::upload`].
    pub async fn install(
        &self,
        name: &str,
        bytes: Bytes,
        source: Provenance<'_>,
    ) -> Result<Uploaded, PolicyError> {
        self.take(name, bytes, source, Haste::Awaited, self.0.rules.load_full()).await
    }

    async fn take(
        &self,
        name: &str,
        bytes: Bytes,
        source: Provenance<'_>,
        haste: Haste,
        rules: Arc<Rules>,
    ) -> Result<Uploaded, PolicyError> {
        names::check_new(name, &*self.0.world)?;
        rules.settings.signing_keys.check(name, &bytes, source)?;
        self.0.clone().deploy(name, bytes, haste, rules).await
    }

    /// Puts a revision, given whole or by a unique beginning, in force. A router replaces the
    /// router; a policy with other hooks joins the end of the pipeline where it is not in it.
    ///
    /// # Errors
    /// An unknown policy or revision, a name that an expert took meanwhile, a stored component that
    /// can't be run any more, a full disk, [`PolicyError::NewImports`]: the policies in force stay as
    /// they were.
    pub fn activate(
        &self,
        name: &str,
        revision: &str,
        new_imports: NewImports,
    ) -> Result<Activation, PolicyError> {
        names::check_activated(name, &*self.0.world)?;
        self.0.retry(name, revision)?;
        let activation = self.0.change(|ledger| {
            let revision = ledger.resolve(name, revision)?;
            if new_imports == NewImports::Refused {
                ledger.check_gained(name, &revision)?;
            }
            ledger.activate(name, &revision, now_ms())
        })?;
        if let Some(seat) = self.0.current.load().active.get(name) {
            seat.reset();
        }
        Ok(activation)
    }

    /// Goes back to the state before the newest change that was not undone yet; with a name, to
    /// that policy's state before its newest activation. Again goes further back. What would leave no
    /// router, or bring back what was taken out of force, has to be asked for in other words.
    ///
    /// # Errors
    /// [`PolicyError::NothingToRollBack`], [`PolicyError::RollbackUnclear`], and as
    /// [`Policies::activate`].
    pub fn rollback(&self, name: Option<&str>) -> Result<Activation, PolicyError> {
        self.0.change(|ledger| ledger.roll_back_if_clear(name, now_ms()))
    }

    /// Takes a policy out of force and out of the pipeline. Its revisions stay.
    ///
    /// # Errors
    /// An unknown policy; a full disk.
    pub fn deactivate(&self, name: &str) -> Result<Activation, PolicyError> {
        self.0.change(|ledger| ledger.deactivate(name, now_ms()))
    }

    /// Sets which policies are called and in which order. For a registry whose state could not be
    /// read this is the operator's word: the state is kept aside and calls are let through again.
    ///
    /// # Errors
    /// [`PolicyError::InvalidPipeline`] for a policy that has no revision in force or lacks the
    /// hook.
    pub fn set_pipeline(&self, pipeline: Pipeline) -> Result<Activation, PolicyError> {
        self.0.decide(|ledger| ledger.set_pipeline(pipeline.clone(), now_ms()))
    }

    /// Forgets a stored revision; a policy goes with its last one, and with it what it kept.
    ///
    /// # Errors
    /// [`PolicyError::InUse`] while it is in force, the last good one, or what a rollback needs.
    pub fn remove_revision(&self, name: &str, revision: &str) -> Result<(), PolicyError> {
        let mut book = self.0.book();
        let mut ledger = book.ledger.clone();
        let revision = ledger.resolve(name, revision)?;
        ledger.remove(name, &revision)?;
        book.keep(ledger)?;
        if !book.ledger.policies.contains_key(name) {
            self.0.buckets.forget(name);
        }
        Ok(())
    }
}

impl Registry {
    fn limits(&self) -> Arc<Limits> {
        self.rules.load().limits.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change: on a copy of the state, then on disk, then for everybody. Code that is not
    /// at hand is compiled before, with the lock released.
    fn change(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Result<Activation, PolicyError>,
    ) -> Result<Activation, PolicyError> {
        self.change_then(edit, |_| Ok(()))
    }

    /// As [`Registry::change`], with something to be done just before it is written.
    fn change_then(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Result<Activation, PolicyError>,
        then: impl FnOnce(&mut Book) -> Result<(), PolicyError>,
    ) -> Result<Activation, PolicyError> {
        let activation = self.edit_then(edit, then)?;
        let Activation { generation, cause, policy, .. } = &activation;
        tracing::info!(generation, ?cause, ?policy, "the policies in force changed");
        Ok(activation)
    }

    /// Makes a change that leaves in force what is in force.
    fn edit<T>(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        self.edit_then(edit, |_| Ok(()))
    }

    fn edit_then<T>(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Result<T, PolicyError>,
        then: impl FnOnce(&mut Book) -> Result<(), PolicyError>,
    ) -> Result<T, PolicyError> {
        self.edit_keeping(edit, &|_| true, then)
    }

    /// As [`Registry::edit_then`]; who was in force before keeps its seat where `keeps` says so of its name.
    fn edit_keeping<T>(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Result<T, PolicyError>,
        keeps: &dyn Fn(&str) -> bool,
        then: impl FnOnce(&mut Book) -> Result<(), PolicyError>,
    ) -> Result<T, PolicyError> {
        let mut fetched = HashMap::new();
        loop {
            let mut book = self.book();
            let mut ledger = book.ledger.clone();
            let edited = edit(&mut ledger)?;
            // Other changes meanwhile may have put aside what this one waited for.
            book.programs.extend(fetched.clone());
            let Some(missing) = book.missing(&ledger) else {
                then(&mut book)?;
                self.commit(&mut book, ledger, keeps)?;
                return Ok(edited);
            };
            drop(book);
            let program = self.fetch(&missing)?;
            fetched.insert(missing.revision, program);
        }
    }

    /// Gets the code of a stored revision on the thread of what operators wait for.
    fn fetch(self: &Arc<Self>, id: &PolicyRef) -> Result<Arc<Program>, PolicyError> {
        let (registry, wanted) = (self.clone(), id.clone());
        self.compiler.run_blocking(move || registry.obtain(&wanted))?
    }

    /// The code of a stored revision.
    fn obtain(&self, id: &PolicyRef) -> Result<Arc<Program>, PolicyError> {
        let unusable = |problem| PolicyError::Unusable { policy: id.clone(), problem };
        let component = self.book().disk.load(&id.revision).map_err(unusable)?;
        let built = self.build(&id.revision, &component, Haste::Awaited);
        let built =
            built.map_err(|error| error.into_error(|problem| unusable(problem.to_string())))?;
        let warm = self.book().ledger.warm();
        self.remember(&id.revision, &built, &warm);
        Ok(built.program)
    }

    /// Disk first; calls see the change only when it can't be lost any more.
    fn commit(
        self: &Arc<Self>,
        book: &mut Book,
        mut ledger: Ledger,
        keeps: &dyn Fn(&str) -> bool,
    ) -> Result<(), PolicyError> {
        ledger.trim(self.limits().history as usize);
        let set = self.assemble(book, &ledger, keeps);
        if book.ledger != ledger {
            book.keep(ledger)?;
        }
        self.current.store(Arc::new(set));
        Ok(())
    }
}
