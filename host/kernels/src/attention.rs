//! Attention of query rows over the KV caches of their sequences.

mod piece;
mod plain;
mod sequence;
mod state;
mod tile;
mod vectors;

use std::ops::Range;

use crate::{Compute, columns::Columns};
use piece::{Piece, pieces};
pub(crate) use plain::attend_plainly;
pub use sequence::{Attending, Heads};
pub(crate) use state::State;
pub(crate) use tile::attend;
#[cfg(test)]
pub(crate) use vectors::Tile;
pub(crate) use vectors::Vectors;

/// Pieces of work for each thread, so that none waits long for another.
const PIECES_PER_THREAD: usize = 8;

/// `out = softmax(scale * q · Kᵀ) · V` for every head of every row. `q` and `out` are `(rows, heads,
/// head_dim)`. A row's result depends on its own sequence alone: neither on rows that share the call, nor on
/// how the tokens before it were fed.
///
/// # Panics
/// When the lengths disagree, or a row sees nothing or what no block holds.
pub fn attention(
    q: &[f32],
    sequences: &[Attending<'_>],
    heads: Heads,
    scale: f32,
    out: &mut [f32],
    compute: &Compute,
) {
    let row = heads.heads * heads.head_dim;
    assert_eq!(heads.heads % heads.kv_heads, 0, "query heads do not divide among key heads");
    let rows = sequences.iter().map(|sequence| sequence.rows.end).max().unwrap_or(0);
    assert!(q.len() == out.len() && rows * row <= q.len(), "q or out has the wrong length");
    sequences.iter().for_each(|sequence| sequence.check(heads));
    assert_apart(sequences);
    let seen: usize = sequences.iter().map(Attending::seen).sum();
    let call = Call { q, scale, multiplications: 2 * seen * row, compute };
    let pieces = pieces(sequences, heads, PIECES_PER_THREAD * compute.threads());
    let long = call.attend_spans(&pieces);
    let columns = Columns::new(out, row);
    call.each(pieces.len(), |index| {
        let state = call.attend(&pieces[index], &long[index]);
        for (vector, (row, elements)) in pieces[index].places().enumerate() {
            #[expect(unsafe_code, reason = "threads write heads of the same rows")]
            // SAFETY: rows are of one sequence each, and every vector of a sequence is in one piece.
            let out = unsafe { columns.part(row, elements) };
            state.write(vector, out);
        }
    });
}

/// No row is of two sequences.
fn assert_apart(sequences: &[Attending<'_>]) {
    let mut rows: Vec<_> = sequences.iter().map(|sequence| sequence.rows.clone()).collect();
    rows.sort_unstable_by_key(|rows| rows.start);
    assert!(rows.windows(2).all(|two| two[0].end <= two[1].start), "a row is of two sequences");
}

/// What all pieces of a call share.
struct Call<'a> {
    q: &'a [f32],
    scale: f32,
    multiplications: usize,
    compute: &'a Compute,
}

impl Call<'_> {
    /// Long pieces, span by span, so that threads share even a single row: for each piece what it makes of its
    /// spans; nothing for short ones.
    fn attend_spans(&self, pieces: &[Piece<'_>]) -> Vec<Vec<State>> {
        let parts: Vec<(usize, usize)> = pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.is_long())
            .flat_map(|(index, piece)| piece.spans().map(move |span| (index, span)))
            .collect();
        let states = self.each(parts.len(), |part| {
            let (piece, span) = parts[part];
            pieces[piece].attend(self.q, self.scale, span..span + 1, self.compute.ops())
        });
        let mut long: Vec<Vec<State>> = pieces.iter().map(|_| Vec::new()).collect();
        for ((piece, _), state) in parts.into_iter().zip(states) {
            long[piece].push(state);
        }
        long
    }

    /// A piece over all that it sees, or what its spans come to.
    fn attend(&self, piece: &Piece<'_>, spans: &[State]) -> State {
        if spans.is_empty() {
            return piece.attend(self.q, self.scale, piece.spans(), self.compute.ops());
        }
        let mut all = piece.nothing();
        spans.iter().for_each(|span| (self.compute.ops().absorb)(&mut all, span));
        all
    }

    /// Calls `work` with every number below `count`, on as many threads as the call is worth.
    fn each<T: Send + Sync>(&self, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let ranges = self.compute.uneven(count, self.multiplications);
        let work = |range: Range<usize>| range.map(&work).collect::<Vec<T>>();
        self.compute.spread(&ranges, work).into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests;
