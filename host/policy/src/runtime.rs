//! What all policies share: the one engine of the process and what may be imported from it, admission of
//! instances, the scheduler of guests.

use std::{sync::Arc, thread, time::Duration};

use tokio::runtime::{Builder, Runtime as Tokio};
use wasmtime::{
    Engine, EngineWeak, Store,
    component::{Component, HasSelf, InstancePre, Linker},
};

use crate::{
    Limits, PolicyError, bindings, engine,
    instances::Instances,
    lent::{Lent, Turn},
    meter::Gauge,
    sampling::{Sample, Sampling},
    scheduler::Scheduler,
    store::{Held, State},
    token_counts::TokenCounts,
};

/// How often guests are interrupted to see whether their time is up.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// Threads that count tokens stay, because the system may give none when one is needed again.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Compiles components, and gives them room and turns to run.
pub(crate) struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    pub(crate) instances: Instances,
    pub(crate) sampling: Arc<Sampling>,
    pub(crate) scheduler: Scheduler,
    token_counts: Arc<TokenCounts>,
}

impl Runtime {
    /// Starts the engine, its ticker, and the threads that guests run on.
    ///
    /// # Errors
    /// [`PolicyError::Runtime`] when WebAssembly can't run on this machine.
    pub(crate) fn start(limits: &Limits) -> Result<Runtime, PolicyError> {
        let no_thread = |error: std::io::Error| PolicyError::Runtime { problem: error.to_string() };
        let engine = engine::pooled(limits).map_err(cannot_run)?;
        let linker = linker(&engine).map_err(cannot_run)?;
        let workers = limits.workers as usize;
        let host = host(workers).map_err(no_thread)?;
        let handle = host.handle().clone();
        let weak = engine.weak();
        thread::Builder::new()
            .name("policy-ticker".into())
            .spawn(move || tick(host, &weak))
            .map_err(no_thread)?;
        let scheduler = Scheduler::start(workers, &handle).map_err(no_thread)?;
        let instances = Instances::new(limits);
        let token_counts = Arc::new(TokenCounts::new(workers, instances.memory.clone(), handle));
        let sampling = Arc::default();
        Ok(Runtime { engine, linker, instances, sampling, scheduler, token_counts })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A store for one instance.
    pub(crate) fn store(
        &self,
        lent: &Arc<Lent>,
        turn: Turn,
        held: Held,
        gauge: Gauge,
    ) -> Store<State> {
        let memory = match lent.aside {
            true => &self.instances.memory_aside,
            false => &self.instances.memory,
        };
        let state = State::new(lent, turn, held, gauge, memory, &self.token_counts);
        state.into_store(&self.engine)
    }

    /// Does some work and takes the stacks of guests meanwhile.
    pub(crate) fn profile<T>(&self, every: Duration, work: impl FnOnce() -> T) -> (T, Vec<Sample>) {
        self.sampling.during(&self.engine, every, work)
    }

    /// Makes code ready to be instantiated, and checks the types of its imports.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.linker.instantiate_pre(component)
    }
}

fn cannot_run(error: wasmtime::Error) -> PolicyError {
    PolicyError::Runtime { problem: format!("{error:#}") }
}

/// Everything a policy may import, and nothing more.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    bindings::LearningPolicy::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Where timers and host calls of guests live: on the ticker's thread, with as many threads for
/// blocking work as guests run.
fn host(workers: usize) -> std::io::Result<Tokio> {
    let mut host = Builder::new_current_thread();
    host.enable_time()
        .max_blocking_threads(workers)
        .thread_keep_alive(KEPT)
        .thread_name("policy-host")
        .build()
}

/// Ends by itself when the engine is gone.
fn tick(host: Tokio, engine: &EngineWeak) {
    host.block_on(async {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            tokio::time::sleep(TICK).await;
        }
    });
    host.shutdown_background();
}
