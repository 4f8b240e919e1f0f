//! The WebAssembly engine, narrowed to what policies need: async calls, epochs, pooled instances, no
//! threads, no precompiled code.

use std::num::NonZeroUsize;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{Limits, instances::PROBES};

/// Stack a guest may use, in bytes.
const STACK_BYTES: usize = 512 * 1024;
/// Functions named in the report of a trap.
const BACKTRACE_FRAMES: usize = 16;
/// Table bytes cleared in place for the next instance; giving the pages back costs 9 µs per call.
/// (`pagemap_scan` would save 10 µs more, but it overlooks dirty pages that were swapped out, so
/// one call's text could show in another's instance: wasmtime pull request 14357.)
const TABLE_KEEP_BYTES: usize = 128 * 1024;
/// Memory bytes written anew for the next instance, from address 0: stack, constants and the first heap of what
/// `policy build` makes. Giving pages back and taking them again costs 2 µs for each page a guest
/// touches, which was most of a call; writing half a megabyte costs 14 µs. What lies behind is given
/// back. It stays in memory for every slot that is kept for a component.
const MEMORY_KEEP_BYTES: usize = 512 * 1024;
/// Slots that are kept as their component left them for its next call; those of others are taken again before a
/// fresh one is, so that hosts with many revisions behind them hold no more memory than others.
const SLOTS_KEPT: u32 = 8;
/// What one component may consist of. Composed components have several of each.
pub(crate) const CORE_INSTANCES: usize = 16;
/// Tables of one component.
pub(crate) const TABLES: usize = 8;
/// Memories of one component.
pub(crate) const MEMORIES: usize = 2;

/// Pooled where the address space allows, on demand elsewhere.
pub(crate) fn pooled(limits: &Limits) -> wasmtime::Result<Engine> {
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
    let instances = limits.instances + limits.sessions + limits.shadow_calls;
    let instances = instances as u32 + 2 * PROBES as u32;
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
        .max_unused_warm_slots(SLOTS_KEPT)
        .max_memory_size(limits.memory_bytes as usize)
        .table_elements(limits.table_elements as usize)
        .linear_memory_keep_resident(MEMORY_KEEP_BYTES)
        .table_keep_resident(TABLE_KEEP_BYTES);
    pool
}
