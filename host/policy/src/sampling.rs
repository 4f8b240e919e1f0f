//! Where guests are at every tick of a faster clock: the stacks of a profile. A host that serves has it switched off.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use wasmtime::{AsContext, Engine, FrameInfo, WasmBacktrace};

/// More samples than this are not kept.
const SAMPLES_MAX: usize = 200_000;

/// Where a guest was at one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Since the first tick.
    pub at: Duration,
    /// Its functions, the outermost first.
    pub frames: Vec<String>,
}

/// Takes samples while it is switched on.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    on: AtomicBool,
    taken: Mutex<Vec<(Instant, Vec<String>)>>,
}

impl Sampling {
    /// Whether guests are sampled now. They keep their turns then.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Takes the stack of a guest that a tick has stopped.
    pub(crate) fn take(&self, store: impl AsContext) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() < SAMPLES_MAX {
            let trace = WasmBacktrace::force_capture(store);
            taken.push((Instant::now(), trace.frames().iter().rev().map(name).collect()));
        }
    }

    /// Does some work with a tick `every` so often.
    pub(crate) fn during<T>(
        &self,
        engine: &Engine,
        every: Duration,
        work: impl FnOnce() -> T,
    ) -> (T, Vec<Sample>) {
        self.on.store(true, Relaxed);
        let began = Instant::now();
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                while self.is_on() {
                    engine.increment_epoch();
                    thread::sleep(every);
                }
            });
            // Also when the work panics, for the clock would be waited for.
            let _end = End(self);
            work()
        });
        let taken = std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner));
        let sample = |(at, frames): (Instant, _)| Sample { at: at.duration_since(began), frames };
        (done, taken.into_iter().map(sample).collect())
    }
}

/// Switches sampling off.
struct End<'s>(&'s Sampling);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.on.store(false, Relaxed);
    }
}

/// The author's name of a function, or its place where the component has no names.
fn name(frame: &FrameInfo) -> String {
    let place = || format!("function {}", frame.func_index());
    frame.func_name().map_or_else(place, |name| format!("{:#}", rustc_demangle::demangle(name)))
}
