//! Memory that calls use again. A step of prefill writes hundreds of megabytes of activations; fresh memory
//! for each costs a page fault for every four kilobytes and a zero for every byte.

use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes that wait for their next use, at most: what a chunk of prefill of a large model has in hand.
const BYTES_MAX: usize = 1 << 28;

/// Buffers that wait for their next use.
pub(crate) struct Buffers<T>(Mutex<Vec<Vec<T>>>);

impl<T: Copy + Default> Buffers<T> {
    /// Takes a buffer of `len` elements, whatever is in them.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer<T> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, or else the largest, which has to grow.
        let fits = |at: &usize| {
            let room = waiting[*at].capacity();
            (room < len, room.abs_diff(len))
        };
        let best = (0..waiting.len()).min_by_key(fits);
        let mut elements = best.map(|at| waiting.swap_remove(at)).unwrap_or_default();
        drop(waiting);
        if elements.capacity() < len {
            elements = vec![T::default(); len]; // growing would copy what nobody reads
        }
        elements.resize(len, T::default());
        Buffer { elements, home: Arc::clone(self) }
    }
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for Buffers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffers")
    }
}

/// Elements in memory that is used again when they are dropped.
#[derive(Debug)]
pub struct Buffer<T> {
    elements: Vec<T>,
    home: Arc<Buffers<T>>,
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let mut waiting = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elements = waiting.iter().map(Vec::capacity).sum::<usize>() + self.elements.capacity();
        if elements * size_of::<T>() <= BYTES_MAX {
            waiting.push(mem::take(&mut self.elements));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_bounded() {
        let buffers = Arc::new(Buffers::<u8>::default());
        let (large, small) = (buffers.take(4096), buffers.take(16));
        let addresses = [large.as_ptr(), small.as_ptr()];
        drop((large, small));
        let (small, large) = (buffers.take(10), buffers.take(4000));
        assert_eq!([large.as_ptr(), small.as_ptr()], addresses);
        assert_eq!([large.len(), small.len()], [4000, 10]);
        drop((small, large));
        let waiting = |buffers: &Buffers<u8>| buffers.0.lock().unwrap().len();
        assert_eq!(waiting(&buffers), 2);
        drop([buffers.take(BYTES_MAX / 2), buffers.take(BYTES_MAX / 2 + 1)]);
        assert_eq!(waiting(&buffers), 1, "the second is beyond the bound");
    }
}
