//! The state of one instance: what it may use, what it was lent, and why it had to stop.

use std::{collections::BTreeMap, sync::Arc};

use rustix::io::Errno;
use signalbox_confine::clean;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    Engine, FrameInfo, PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, UpdateDeadline,
    WasmBacktrace,
    component::{HasData, ResourceTable, ResourceTableError},
};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::{
    Call, Failure, Limits, Notes,
    ask_budget::AskBudget,
    bindings,
    buckets::Bucket,
    engine::{CORE_INSTANCES, MEMORIES, TABLES},
    hostcall_fuel,
    import::http::Http,
    instance_log::Log,
    instances::{CallInstance, InstancePermit, MemoryBudget, Share},
    lent::{Lent, Turn},
    meter::Gauge,
    scheduler::give_way,
    token_counts::TokenCounts,
};

/// Handles one instance may hold at once: requests, experts, WASI streams.
const HANDLES: usize = 10_000;
/// Functions named when a trap is reported.
const FRAMES_SHOWN: usize = 5;
/// Bytes of a trap's report.
const REPORT_BYTES: usize = 2048;

/// What an instance holds for its life, so that there are no more than there may be.
pub(crate) enum Held {
    /// Of a call that is before its expert.
    Call(#[expect(dead_code, reason = "held, not read")] CallInstance),
    /// Of a call that is only compared.
    Aside(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
    /// Of a reply.
    Session(#[expect(dead_code, reason = "held, not read")] InstancePermit),
}

/// What one instance is lent, has used, and was denied.
pub(crate) struct State {
    pub(crate) lent: Arc<Lent>,
    pub(crate) table: ResourceTable,
    pub(crate) log: Log,
    pub(crate) token_counts: Arc<TokenCounts>,
    pub(crate) turn: Turn,
    /// Where it notes what it has to say of the call it works on.
    pub(crate) notes: Notes,
    /// The call it works on, once that was shown.
    pub(crate) shown: Option<Arc<Call>>,
    /// Of that call's prompt, by the experts that it was asked about.
    pub(crate) cached_tokens: BTreeMap<String, Option<u32>>,
    /// What it has had of experts.
    pub(crate) ask_budget: AskBudget,
    /// What it keeps, once it asked for that.
    bucket: Option<Arc<Bucket>>,
    memory: Memory,
    wasi: Option<WasiCtx>,
    /// What this call has asked of others, once it did.
    http: Option<Http>,
    pub(crate) gauge: Gauge,
    _held: Held,
}

impl Drop for State {
    fn drop(&mut self) {
        self.gauge.ended(self.memory.share.bytes());
    }
}

impl State {
    /// What one instance has at its beginning.
    pub(crate) fn new(
        lent: &Arc<Lent>,
        turn: Turn,
        held: Held,
        gauge: Gauge,
        memory: &Arc<MemoryBudget>,
        token_counts: &Arc<TokenCounts>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        State {
            table,
            log: Log::new(lent.limits.log_lines),
            memory: Memory::new(&lent.limits, memory),
            wasi: None,
            http: None,
            token_counts: token_counts.clone(),
            turn,
            notes: Notes::default(),
            shown: None,
            cached_tokens: BTreeMap::new(),
            ask_budget: AskBudget::default(),
            bucket: None,
            lent: lent.clone(),
            gauge,
            _held: held,
        }
    }

    /// A store for one instance.
    pub(crate) fn into_store(self, engine: &Engine) -> Store<State> {
        let fuel = hostcall_fuel::of_call(&self.lent.limits, self.turn.text_bytes);
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(fuel);
        store.epoch_deadline_callback(|store| {
            let state = store.data();
            if state.lent.sampling.is_on() {
                state.lent.sampling.take(&store);
            }
            state.on_tick()
        });
        store.set_epoch_deadline(1);
        store
    }

    /// A new call into the same instance: its time starts again.
    pub(crate) fn restart(store: &mut Store<State>, turn: Turn) {
        let fuel = hostcall_fuel::of_call(&store.data().lent.limits, turn.text_bytes);
        store.data_mut().turn = turn;
        store.data_mut().http = None;
        store.set_hostcall_fuel(fuel);
        store.set_epoch_deadline(1);
    }

    /// Gives its turn to others at every tick, until its own time is up.
    fn on_tick(&self) -> wasmtime::Result<UpdateDeadline> {
        if self.turn.own_time.spent_in_turn() < self.turn.limit {
            if self.lent.sampling.is_on() {
                return Ok(UpdateDeadline::Continue(1));
            }
            return Ok(UpdateDeadline::YieldCustom(1, Box::pin(give_way())));
        }
        Err(self.deadline().into())
    }

    /// What the policy keeps. Of what one changes that is only compared, no other instance sees anything.
    pub(crate) fn bucket(&mut self) -> Arc<Bucket> {
        let Lent { bucket, compared, .. } = &*self.lent;
        let opened = || if *compared { Arc::new(bucket.fork()) } else { bucket.clone() };
        self.bucket.get_or_insert_with(opened).clone()
    }

    pub(crate) fn deadline(&self) -> Failure {
        Failure::Deadline { limit_ms: self.turn.limit.as_millis() as u64 }
    }

    /// Says in the host's words why the guest had to stop.
    pub(crate) fn failure(&self, error: wasmtime::Error) -> Failure {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.clone();
        }
        if let Some(denied) = &self.memory.denied {
            return denied.clone();
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Failure::NoRoom { limit_ms: 0 };
        }
        if error.chain().any(|cause| cause.is::<std::io::Error>() || cause.is::<Errno>()) {
            return Failure::Broken(error.root_cause().to_string());
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
            return Failure::Invalid(format!("it keeps more than {HANDLES} handles open"));
        }
        if hostcall_fuel::is_exhausted(&error) {
            let limit_bytes = self.lent.limits.answer_bytes(self.turn.text_bytes);
            return Failure::OutputTooLarge { limit_bytes };
        }
        Failure::Trap(clean(&self.last_words(&error), REPORT_BYTES))
    }

    /// The trap, what the guest wrote to stderr before it (a panic's message), and where it was.
    fn last_words(&self, error: &wasmtime::Error) -> String {
        let mut message = match (error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
            (Some(exit), _) => format!("it called exit({})", exit.0),
            // Where the stack lies first in memory, as Rust has it, what is too deep leaves memory.
            (None, Some(trap @ Trap::MemoryOutOfBounds)) => {
                format!("{trap} (as a recursion does that is too deep)")
            }
            (None, Some(trap)) => trap.to_string(),
            (None, None) => error.root_cause().to_string(),
        };
        let stderr = self.log.last_words();
        if !stderr.is_empty() {
            message.push_str(&format!("; it said: {stderr}"));
        }
        if let Some(frames) = error.downcast_ref::<WasmBacktrace>().and_then(named_frames) {
            message.push_str(&format!("; in {frames}"));
        }
        message
    }
}

/// The author's functions in a backtrace, innermost first; `None` when the component has no names.
fn named_frames(trace: &WasmBacktrace) -> Option<String> {
    let named = trace.frames().iter().filter_map(FrameInfo::func_name);
    let mut names: Vec<String> = named.map(demangled).filter(|name| !is_plumbing(name)).collect();
    names.dedup();
    names.truncate(FRAMES_SHOWN);
    (!names.is_empty()).then(|| names.join(" < "))
}

/// The function's path without the hash that Rust puts behind it.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Whether a function is of the language's runtime or of generated bindings.
fn is_plumbing(name: &str) -> bool {
    const RUNTIME: [&str; 6] = ["std::", "core::", "alloc::", "__rustc", "abort", "cabi_"];
    RUNTIME.iter().any(|prefix| name.starts_with(prefix))
        || name.contains('#')
        || name.ends_with("_cabi")
}

impl HasData for State {
    type Data<'a> = &'a mut State;
}

impl bindings::signalbox::policy::types::Host for State {}

impl WasiView for State {
    /// Built when a guest first asks, since most never do. Nothing is granted.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (log, policy) = (&self.log, &self.lent.policy);
        let ctx = self.wasi.get_or_insert_with(|| {
            WasiCtx::builder().stdout(log.stdout(policy)).stderr(log.stderr(policy)).build()
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { lent, turn, log, gauge, memory, .. } = self;
        let made = || Http::new(lent, turn, log, gauge, memory.share.sibling());
        let Http { ctx, sender } = self.http.get_or_insert_with(made);
        WasiHttpCtxView { hooks: sender, table: &mut self.table, ctx }
    }
}

/// Counts memory over all memories of an instance, and over all instances.
struct Memory {
    share: Share,
    limit: u64,
    table_elements: u64,
    denied: Option<Failure>,
}

impl Memory {
    fn new(limits: &Limits, budget: &Arc<MemoryBudget>) -> Self {
        let (limit, table_elements) = (limits.memory_bytes, limits.table_elements);
        Self { share: budget.share(), limit, table_elements, denied: None }
    }

    fn grow(&mut self, bytes: u64) -> Result<(), Failure> {
        let wanted_bytes = self.share.bytes() + bytes;
        if wanted_bytes > self.limit {
            return Err(Failure::Memory { wanted_bytes, limit_bytes: self.limit });
        }
        self.share.take(bytes)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if let Err(failure) = self.grow((desired - current) as u64) {
            self.denied = Some(failure);
            return Ok(false);
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired as u64 <= self.table_elements)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_functions_are_distinguished_from_plumbing() {
        let check = |mangled, name: &str, plumbing| {
            assert_eq!((demangled(mangled).as_str(), is_plumbing(name)), (name, plumbing));
        };
        check("_ZN5guest9misbehave17h0123456789abcdefE", "guest::misbehave", false);
        check(
            "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
            "core::panicking::panic_fmt",
            true,
        );
        check("signalbox:policy/route@0.2.0#choose", "signalbox:policy/route@0.2.0#choose", true);
        check("choose", "choose", false);
    }

    #[test]
    fn memory_is_counted_over_all_memories() {
        let budget = Arc::new(MemoryBudget::new(150));
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let mut memory = Memory::new(&limits, &budget);
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.memory_growing(0, 40, None).unwrap());
        assert!(!memory.memory_growing(40, 41, None).unwrap());
        assert_eq!(memory.denied, Some(Failure::Memory { wanted_bytes: 101, limit_bytes: 100 }));
        let mut other = Memory::new(&limits, &budget);
        assert!(!other.memory_growing(0, 60, None).unwrap());
        assert_eq!(other.denied, Some(Failure::NoMemory { limit_bytes: 150 }));
    }
}
