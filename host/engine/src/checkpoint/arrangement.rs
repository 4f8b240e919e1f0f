//! Where every matrix of a plan lies among the others when they are packed, and in which pieces it is made.

use std::{convert::Infallible, ops::Range};

use signalbox_kernels::Compute;

use super::plan::{self, Plan, Vector};
use crate::model::{Fill, Form};

/// Matrices begin at whole pages, so that no two share one.
pub(super) const PAGE: usize = 4096;
/// Packed bytes that are made at once by one thread: many pieces of a matrix, and little memory.
const PIECE_BYTES: usize = 1 << 19;

/// All matrices of a plan, in its order.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    pub(super) matrices: Vec<Place>,
    /// From the first byte to the end of the last matrix.
    pub(super) bytes: usize,
    /// Of all matrices.
    pub(super) pieces: usize,
}

/// Where one matrix lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) form: Form,
    rows: usize,
    /// Of its first byte, a multiple of [`PAGE`].
    pub(super) offset: usize,
    /// The number of its first piece.
    pub(super) first_piece: usize,
}

impl Arrangement {
    /// Of the forms that `compute` wants.
    pub(super) fn of(plan: &Plan, compute: &Compute) -> Self {
        let mut list = List { compute, arranged: Self::default() };
        match plan.fill(&mut list) {
            Ok(_) => list.arranged,
            Err(never) => match never {},
        }
    }

    /// Puts a matrix behind the others.
    pub(super) fn add(&mut self, matrix: &plan::Matrix, compute: &Compute) -> Place {
        let rows = matrix.rows.len();
        let form = Form::new(matrix.format, [rows, matrix.cols], compute);
        let offset = self.bytes.next_multiple_of(PAGE);
        let place = Place { form, rows, offset, first_piece: self.pieces };
        self.bytes = place.range().end;
        self.pieces += place.pieces();
        self.matrices.push(place);
        place
    }
}

impl Place {
    /// Where its bytes are.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.form.bytes()
    }

    /// Bytes of every piece but the last.
    pub(super) fn piece_bytes(&self) -> usize {
        let (_, bytes) = self.form.unit();
        self.units() * bytes
    }

    /// Pieces it is made in.
    pub(super) fn pieces(&self) -> usize {
        self.form.bytes().div_ceil(self.piece_bytes())
    }

    /// The bytes of a piece, among those of all matrices.
    pub(super) fn piece(&self, piece: usize) -> Range<usize> {
        let start = self.offset + piece * self.piece_bytes();
        start..self.range().end.min(start + self.piece_bytes())
    }

    /// The rows of a piece.
    pub(super) fn rows(&self, piece: usize) -> Range<usize> {
        let (rows, _) = self.form.unit();
        let rows = self.units() * rows;
        piece * rows..self.rows.min((piece + 1) * rows)
    }

    /// Units of a piece.
    fn units(&self) -> usize {
        let (_, bytes) = self.form.unit();
        (PIECE_BYTES / bytes.max(1)).max(1)
    }
}

struct List<'a> {
    compute: &'a Compute,
    arranged: Arrangement,
}

impl Fill<plan::Matrix, Vector> for List<'_> {
    type Matrix = ();
    type Vector = ();
    type Error = Infallible;

    fn matrix(&mut self, matrix: &plan::Matrix) -> Result<(), Infallible> {
        self.arranged.add(matrix, self.compute);
        Ok(())
    }

    fn vector(&mut self, _: &Vector) -> Result<(), Infallible> {
        Ok(())
    }
}
