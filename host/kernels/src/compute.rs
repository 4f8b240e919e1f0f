//! How a call computes: with which instructions, and on how many threads.

use std::{num::NonZero, ops::Range, panic::resume_unwind, thread};

use crate::cpu::{Body, fastest, plainest};

/// Multiplications that are worth a thread of their own: about half a millisecond, many times what it
/// takes to start one.
const MULTIPLICATIONS_PER_THREAD: usize = 1 << 21;

/// How a kernel computes. Threads never change a result; the two kinds of instructions may differ in
/// the last bits of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute {
    /// The scalar meaning of every kernel instead of the fastest instructions there are.
    pub exact: bool,
    /// Threads that may share one call; zero counts as one.
    pub threads: usize,
}

impl Compute {
    /// What serving uses: the fastest instructions, all processors.
    pub fn serving() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self { exact: false, threads }
    }

    /// The scalar meaning on the caller's thread.
    pub fn scalar() -> Self {
        Self { exact: true, threads: 1 }
    }

    /// Runs a body with the instructions chosen.
    pub(crate) fn run(self, body: impl Body) {
        if self.exact { plainest(body) } else { fastest(body) }
    }

    /// Cuts `0..len` into ranges of whole `tile`s, one for each thread that `multiplications` keep busy.
    pub(crate) fn ranges(
        self,
        len: usize,
        tile: usize,
        multiplications: usize,
    ) -> Vec<Range<usize>> {
        let busy = (multiplications / MULTIPLICATIONS_PER_THREAD).clamp(1, self.threads.max(1));
        let share = len.div_ceil(busy).next_multiple_of(tile).max(tile);
        (0..len).step_by(share).map(|start| start..(start + share).min(len)).collect()
    }
}

/// Calls `work` for every range, the first on this thread and each other on one of its own; the results
/// come in the order of the ranges.
pub(crate) fn spread<T: Send>(
    ranges: &[Range<usize>],
    work: impl Fn(Range<usize>) -> T + Sync,
) -> Vec<T> {
    let Some((first, rest)) = ranges.split_first() else { return Vec::new() };
    let work = &work;
    thread::scope(|scope| {
        let start = |range: &Range<usize>| {
            let range = range.clone();
            thread::Builder::new().spawn_scoped(scope, move || work(range))
        };
        let others: Vec<_> = rest.iter().map(|range| (range, start(range))).collect();
        let mine = work(first.clone());
        let theirs = others.into_iter().map(|(range, other)| match other {
            Ok(other) => other.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => work(range.clone()), // the system gives no more threads
        });
        std::iter::once(mine).chain(theirs).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the ranges begin that `0..len` is cut into.
    fn check(threads: usize, len: usize, multiplications: usize, expect: &[usize]) {
        let ranges = Compute { exact: false, threads }.ranges(len, 4, multiplications);
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
        let ranges = [0..2, 2..4, 4..5];
        assert_eq!(spread(&ranges, |range| range.start), [0, 2, 4]);
        let failing = || spread(&ranges, |range| assert!(range.start < 4, "the last one"));
        assert!(std::panic::catch_unwind(failing).is_err());
    }
}
