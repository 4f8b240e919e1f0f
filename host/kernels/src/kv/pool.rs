//! The blocks of one model: how many are in use, and the memory of those that are not, which the next ones take.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::storage::{KvShape, Numbers};

/// Where blocks of one shape come from and go back to. What it has taken from the system it keeps.
pub struct KvPool {
    shape: KvShape,
    in_use: AtomicUsize,
    free: Mutex<Vec<Numbers>>,
}

impl KvPool {
    /// A pool without a block.
    pub fn new(shape: KvShape) -> Arc<Self> {
        Arc::new(Self { shape, in_use: AtomicUsize::new(0), free: Mutex::default() })
    }

    /// The numbers of a block, all zero.
    pub(super) fn zeros(&self) -> Numbers {
        match self.take() {
            Some(mut numbers) => {
                numbers.clear();
                numbers
            }
            None => Numbers::zeros(self.shape),
        }
    }

    /// Blocks that are not dropped yet. A block that several sequences share counts once.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    /// What its blocks hold of a token.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// The same numbers once more.
    pub(super) fn copy(&self, numbers: &Numbers) -> Numbers {
        let mut copy = self.take().unwrap_or_else(|| Numbers::zeros(self.shape));
        copy.clone_from(numbers);
        copy
    }

    pub(super) fn take_back(&self, numbers: Numbers) {
        self.in_use.fetch_sub(1, Relaxed);
        self.free().push(numbers);
    }

    /// Counts a block, and gives it the memory of one that is gone, if there is any.
    fn take(&self) -> Option<Numbers> {
        self.in_use.fetch_add(1, Relaxed);
        self.free().pop()
    }

    fn free(&self) -> MutexGuard<'_, Vec<Numbers>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KvPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KvPool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{HeadOf, KvBlock, KvFormat};

    #[test]
    fn memory_is_used_again_and_shows_nothing_of_what_it_held() {
        for format in [KvFormat::F32, KvFormat::F16, KvFormat::Int8] {
            let pool = KvPool::new(KvShape { kv_heads: 1, head_dim: 2, format });
            let mut first = KvBlock::of(&pool);
            first.write(3, &[1.0, f32::INFINITY], &[2.0; 2]);
            let (copy, address) = (first.clone(), first.address(0));
            assert_eq!(pool.in_use(), 2);
            drop(first);
            let again = KvBlock::of(&pool);
            assert_eq!((again.address(0), pool.in_use()), (address, 2));
            let read = |block: &KvBlock| match block.head(0) {
                HeadOf::F32(sides) => format!("{sides:?}"),
                HeadOf::F16(sides) => format!("{sides:?}"),
                HeadOf::Int8(sides) => format!("{sides:?}"),
            };
            assert_eq!(read(&again), read(&KvBlock::new(pool.shape())));
            assert_ne!(read(&copy), read(&again));
            drop((copy, again));
            assert_eq!((pool.in_use(), pool.free().len()), (0, 2));
        }
    }
}
