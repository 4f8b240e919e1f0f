//! A matrix that several threads write at once, each its own columns.
#![expect(unsafe_code, reason = "columns of a row-major matrix are no slice of their own")]

use std::{marker::PhantomData, ops::Range, slice};

/// A row-major matrix `(rows, width)`, borrowed.
pub(crate) struct Columns<'a> {
    start: *mut f32,
    rows: usize,
    width: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: what is written through it is chosen by `part`, whose caller promises that threads share no
// element; numbers may be written from any thread.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// The matrix of whole rows that `all` is.
    pub(crate) fn new(all: &'a mut [f32], width: usize) -> Self {
        assert!(width > 0 && all.len().is_multiple_of(width), "not whole rows of {width}");
        Self { start: all.as_mut_ptr(), rows: all.len() / width, width, borrow: PhantomData }
    }

    /// Elements of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Some columns of a row.
    ///
    /// # Safety
    /// For as long as the part lives, nobody else uses a part that overlaps it.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts, as the caller promises")]
    pub(crate) unsafe fn part(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(row < self.rows && columns.start <= columns.end && columns.end <= self.width);
        // SAFETY: the assertion keeps the part within the borrowed matrix, the caller from others.
        unsafe {
            slice::from_raw_parts_mut(
                self.start.add(row * self.width + columns.start),
                columns.len(),
            )
        }
    }
}
