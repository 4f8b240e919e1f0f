//! How a call computes: with which instructions, and on how many threads.

use std::{
    mem,
    num::NonZero,
    ops::Range,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
    thread,
};

use crate::{
    Buffer, Isa, activations::Block, buffers::Buffers, choice::fastest, pool::Pool, table::Ops,
};

/// Multiplications that are worth a thread of their own: many times what it takes to wake one.
const MULTIPLICATIONS_PER_THREAD: usize = 1 << 18;

/// How a kernel computes: the instructions, and the threads that may share a call. Threads never change
/// a result; instructions may differ in the last bits of a sum. Clones share their workers and buffers.
#[derive(Debug, Clone)]
pub struct Compute {
    ops: &'static Ops,
    pool: Arc<Pool>,
    numbers: Arc<Buffers<f32>>,
    blocks: Arc<Buffers<Block>>,
}

impl Compute {
    /// What serving uses: the fastest instructions, and workers on all processors, which are started once
    /// for the process.
    pub fn serving() -> Self {
        static SHARED: LazyLock<Compute> = LazyLock::new(|| {
            let threads = thread::available_parallelism().map_or(1, NonZero::get);
            Compute::with(fastest(), Pool::new(threads))
        });
        SHARED.clone()
    }

    /// The scalar meaning of every kernel, on the caller's thread.
    pub fn scalar() -> Self {
        static ALONE: LazyLock<Compute> =
            LazyLock::new(|| Compute::with(Ops::scalar(), Pool::new(1)));
        ALONE.clone()
    }

    /// Instructions of one's choice and workers of one's own, `threads` with the caller's; zero counts as
    /// one. `None` where the machine lacks the instructions.
    pub fn new(isa: Isa, threads: usize) -> Option<Self> {
        Some(Self::with(Ops::of(isa)?, Pool::new(threads)))
    }

    fn with(ops: &'static Ops, pool: Pool) -> Self {
        Self { ops, pool: Arc::new(pool), numbers: Arc::default(), blocks: Arc::default() }
    }

    /// Room for `len` numbers, whatever is in it.
    pub fn buffer(&self, len: usize) -> Buffer<f32> {
        self.numbers.take(len)
    }

    /// Room for `len` blocks of activations, whatever is in it.
    pub(crate) fn blocks(&self, len: usize) -> Buffer<Block> {
        self.blocks.take(len)
    }

    /// The instructions in use.
    pub fn isa(&self) -> Isa {
        self.ops.isa
    }

    /// Threads that may share a call.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The row of the table that is in use.
    pub(crate) fn ops(&self) -> &'static Ops {
        self.ops
    }

    /// Cuts `0..len` into ranges of whole `tile`s, one for each thread that `multiplications` keep busy.
    pub(crate) fn ranges(
        &self,
        len: usize,
        tile: usize,
        multiplications: usize,
    ) -> Vec<Range<usize>> {
        let busy = (multiplications / MULTIPLICATIONS_PER_THREAD).clamp(1, self.threads());
        let share = len.div_ceil(busy).next_multiple_of(tile).max(tile);
        (0..len).step_by(share).map(|start| start..(start + share).min(len)).collect()
    }

    /// The same for work that some parts of have more of than others: many small ranges.
    pub(crate) fn uneven(&self, len: usize, multiplications: usize) -> Vec<Range<usize>> {
        let busy = (multiplications / MULTIPLICATIONS_PER_THREAD).clamp(1, self.threads());
        let pieces = if busy == 1 { 1 } else { 16 * self.threads() };
        let share = len.div_ceil(pieces).max(1);
        (0..len).step_by(share).map(|start| start..(start + share).min(len)).collect()
    }

    /// Calls `work` with every number below `tasks`, on this thread and the workers.
    pub fn each(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        self.pool.run(tasks, work);
    }

    /// Calls `work` with the number of every row of `all`, which is `(n, width)`, and the row; threads share them
    /// where that is worth it. An element costs as much as so many multiplications.
    pub fn rows<T: Send>(
        &self,
        all: &mut [T],
        width: usize,
        cost: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let ranges = self.ranges(all.len() / width, 1, all.len() * cost);
        self.split(all, width, &ranges, |range, part| {
            range.zip(part.chunks_exact_mut(width)).for_each(|(row, part)| work(row, part));
        });
    }

    /// Calls `work` for every range with its part of `all`, which is `(ranges' sum, width)`; the ranges
    /// follow each other from zero.
    pub(crate) fn split<T: Send>(
        &self,
        all: &mut [T],
        width: usize,
        ranges: &[Range<usize>],
        work: impl Fn(Range<usize>, &mut [T]) + Sync,
    ) {
        if let [range] = ranges {
            return work(range.clone(), all);
        }
        let mut rest = all;
        let part = |range: &Range<usize>| {
            let (part, others) = mem::take(&mut rest).split_at_mut(range.len() * width);
            rest = others;
            Mutex::new(part)
        };
        let parts: Vec<_> = ranges.iter().map(part).collect();
        self.pool.run(ranges.len(), &|index| {
            let mut part = parts[index].lock().unwrap_or_else(PoisonError::into_inner);
            work(ranges[index].clone(), &mut part);
        });
    }

    /// Calls `work` for every range, on this thread and the workers; the results come in the order of the
    /// ranges.
    pub(crate) fn spread<T: Send + Sync>(
        &self,
        ranges: &[Range<usize>],
        work: impl Fn(Range<usize>) -> T + Sync,
    ) -> Vec<T> {
        let results: Vec<OnceLock<T>> = ranges.iter().map(|_| OnceLock::new()).collect();
        self.pool.run(ranges.len(), &|index| {
            results[index].get_or_init(|| work(ranges[index].clone()));
        });
        results.into_iter().filter_map(OnceLock::into_inner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the ranges begin that `0..len` is cut into.
    fn check(threads: usize, len: usize, multiplications: usize, expect: &[usize]) {
        let compute = Compute::new(Isa::Scalar, threads).unwrap();
        let ranges = compute.ranges(len, 4, multiplications);
        let starts: Vec<usize> = ranges.iter().map(|range| range.start).collect();
        assert_eq!(starts, expect, "{threads} for {len}");
        let ends = starts.into_iter().skip(1).chain([len]);
        assert!(ranges.iter().map(|range| range.end).eq(ends), "{ranges:?} leave something out");
    }

    #[test]
    fn work_is_cut_where_it_keeps_threads_busy() {
        let much = 64 * MULTIPLICATIONS_PER_THREAD;
        check(1, 10, much, &[0]);
        check(0, 10, much, &[0]);
        check(2, 10, much, &[0, 8]);
        check(2, 16, much, &[0, 8]);
        check(8, 9, much, &[0, 4, 8]);
        check(8, 16, MULTIPLICATIONS_PER_THREAD - 1, &[0]);
        check(8, 16, 2 * MULTIPLICATIONS_PER_THREAD, &[0, 8]);
    }

    #[test]
    fn results_come_in_order_and_panics_come_through() {
        let compute = Compute::new(Isa::best(), 3).unwrap();
        let ranges = [0..2, 2..4, 4..5];
        assert_eq!(compute.spread(&ranges, |range| range.start), [0, 2, 4]);
        let failing = || compute.spread(&ranges, |range| assert!(range.start < 4, "the last one"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(failing)).is_err());
    }

    #[test]
    fn instructions_are_those_that_were_asked_for() {
        for isa in Isa::ALL {
            let compute = Compute::new(isa, 1);
            assert_eq!(compute.map(|compute| compute.isa()), isa.is_available().then_some(isa));
        }
        assert_eq!((Compute::scalar().isa(), Compute::scalar().threads()), (Isa::Scalar, 1));
        assert_eq!(Compute::serving().isa(), Isa::best());
    }
}
