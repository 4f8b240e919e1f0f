//! The one WebAssembly engine of the process, narrowed to what policies need: async calls, epochs,
//! pooled instances, no threads, no precompiled code.

use std::{num::NonZeroUsize, thread, time::Duration};

use tokio::runtime::{Builder, Runtime as Tokio};
use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, HasSelf, InstancePre, Linker},
};

use crate::{
    Limits, PolicyError, bindings,
    instances::{Instances, PROBES},
    scheduler::Scheduler,
    store::State,
    token_counts::TokenCounts,
};

/// How often guests are interrupted to see whether their time is up.
const TICK: Duration = Duration::from_millis(5);
/// Threads that count tokens stay, because the system may give none when one is needed again.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Stack a guest may use, in bytes.
const STACK_BYTES: usize = 512 * 1024;
/// Functions named in the report of a trap.
const BACKTRACE_FRAMES: usize = 16;
/// Table bytes cleared in place for the next instance; giving the pages back costs 9 µs per call.
/// (`pagemap_scan` would save 10 µs more, but it overlooks dirty pages that were swapped out, so
/// one call's text could show in another's instance: wasmtime pull request 14357.)
const TABLE_KEEP_BYTES: usize = 128 * 1024;
/// What one component may consist of. Composed components have several of each.
pub(crate) const CORE_INSTANCES: usize = 16;
/// Tables of one component.
pub(crate) const TABLES: usize = 8;
/// Memories of one component.
pub(crate) const MEMORIES: usize = 2;

/// Compiles components, and gives them room and turns to run.
pub(crate) struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    pub(crate) instances: Instances,
    pub(crate) scheduler: Scheduler,
    pub(crate) token_counts: TokenCounts,
}

impl Runtime {
    /// Starts the engine, its ticker, and the threads that guests run on.
    ///
    /// # Errors
    /// [`PolicyError::Runtime`] when WebAssembly can't run on this machine.
    pub(crate) fn start(limits: &Limits) -> Result<Runtime, PolicyError> {
        let no_thread = |error: std::io::Error| PolicyError::Runtime { problem: error.to_string() };
        let engine = engine(limits).map_err(cannot_run)?;
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
        let token_counts = TokenCounts::new(workers, instances.memory.clone(), handle);
        Ok(Runtime { engine, linker, instances, scheduler, token_counts })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes code ready to be instantiated, and checks the types of its imports.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.linker.instantiate_pre(component)
    }
}

fn cannot_run(error: wasmtime::Error) -> PolicyError {
    PolicyError::Runtime { problem: format!("{error:#}") }
}

/// Pooled where the address space allows, on demand elsewhere.
fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = config(limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&config).or_else(|problem| {
        tracing::warn!("policy instances are allocated on demand, which is slower: {problem:#}");
        on_demand(limits)
    })
}

/// An engine that reserves no address space for instances: enough to compile with, and its code
/// runs in the pooled one.
pub(crate) fn on_demand(limits: &Limits) -> wasmtime::Result<Engine> {
    Engine::new(&config(limits))
}

/// What decides how code is generated.
fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .memory_reservation(limits.memory_bytes)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let instances = (limits.instances + limits.sessions) as u32 + 2 * PROBES as u32;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_core_instances(instances * CORE_INSTANCES as u32)
        .total_tables(instances * TABLES as u32)
        .total_memories(instances * MEMORIES as u32)
        .max_core_instances_per_component(CORE_INSTANCES as u32)
        .max_tables_per_component(TABLES as u32)
        .max_tables_per_module(TABLES as u32)
        .max_memories_per_component(MEMORIES as u32)
        .max_memory_size(limits.memory_bytes as usize)
        .table_elements(limits.table_elements as usize)
        .table_keep_resident(TABLE_KEEP_BYTES);
    pool
}

/// Everything a policy may import, and nothing more.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    bindings::Policy::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
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
