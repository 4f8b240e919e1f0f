//! Attention of query rows over the keys and values of their sequences.

mod group;

use crate::Compute;
pub use group::Page;
pub(crate) use group::{Group, attend, attend_by_token};

/// How a row of queries, keys or values is divided. `heads` is a multiple of `kv_heads`: neighbouring
/// query heads share a key and value head (grouped-query attention, arXiv 2305.13245).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
}

/// One row of queries and what it sees.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// (heads, head_dim)
    pub q: &'a [f32],
    /// The tokens the row sees, oldest first, at least one: a causal mask or a window is a matter of which
    /// are given.
    pub pages: Vec<Page<'a>>,
}

/// `out = softmax(scale * q · Kᵀ) · V` for every head of every row; `out` is `(rows, heads, head_dim)`.
/// A row's result does not depend on which rows it shares the call with.
///
/// # Panics
/// When the lengths disagree.
pub fn attention(rows: &[Query<'_>], heads: Heads, scale: f32, out: &mut [f32], compute: &Compute) {
    let Heads { heads: query_heads, kv_heads, head_dim } = heads;
    let (width, row) = (kv_heads * head_dim, query_heads * head_dim);
    assert_eq!(query_heads % kv_heads, 0, "query heads do not divide among key heads");
    assert_eq!(out.len(), rows.len() * row, "out has the wrong length");
    let mut tokens = 0;
    for Query { q, pages } in rows {
        assert_eq!(q.len(), row, "q has the wrong length");
        let whole = |page: &Page<'_>| page.keys.len().is_multiple_of(width);
        assert!(pages.iter().all(|p| whole(p) && p.keys.len() == p.values.len()), "ragged page");
        let sees = pages.iter().map(|page| page.keys.len() / width).sum::<usize>();
        assert!(sees > 0, "a row sees nothing");
        tokens += sees;
    }
    let share = row / kv_heads;
    let pieces = compute.uneven(rows.len() * kv_heads, 2 * tokens * row);
    compute.split(out, share, &pieces, |piece, out| {
        let mut scores = Vec::new();
        for (index, out) in piece.zip(out.chunks_exact_mut(share)) {
            let (Query { q, pages }, head) = (&rows[index / kv_heads], index % kv_heads);
            let (q, offset) = (&q[head * share..][..share], head * head_dim);
            let group = Group { q, pages, width, offset, head_dim, scale };
            (compute.ops().attend)(&group, &mut scores, out);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    const HEADS: Heads = Heads { heads: 4, kv_heads: 2, head_dim: 3 };
    const KV: usize = 6; // kv_heads * head_dim

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    fn naive(q: &[f32], keys: &[f32], values: &[f32], scale: f32) -> Vec<f32> {
        let mut out = vec![0.0; q.len()];
        for (i, out) in out.iter_mut().enumerate() {
            let (head, element) = (i / 3, i % 3);
            let offset = head / 2 * 3;
            let score =
                |key: &[f32]| (0..3).map(|d| q[head * 3 + d] * key[offset + d]).sum::<f32>();
            let weights: Vec<f32> = keys.chunks(KV).map(|k| (score(k) * scale).exp()).collect();
            let value = values.chunks(KV).map(|v| v[offset + element]);
            let sum: f32 = weights.iter().sum();
            *out = value.zip(&weights).map(|(v, w)| v * w).sum::<f32>() / sum;
        }
        out
    }

    #[test]
    fn agrees_with_the_naive_formula_however_the_tokens_are_paged() {
        let (q, keys, values) = (wave(12, 0.9), wave(7 * KV, 0.31), wave(7 * KV, 0.17));
        let expect = naive(&q, &keys, &values, 0.8);
        for page in [1, 2, 3, 7] {
            let pages = keys.chunks(page * KV).zip(values.chunks(page * KV));
            let pages = pages.map(|(keys, values)| Page { keys, values }).collect();
            let mut out = vec![f32::NAN; 12];
            let rows = [Query { q: &q, pages }];
            attention(&rows, HEADS, 0.8, &mut out, &Compute::serving());
            for (ours, naive) in out.iter().zip(&expect) {
                assert!((ours - naive).abs() < 1e-5, "pages of {page}: {ours} for {naive}");
            }
        }
    }

    #[test]
    fn neither_rows_nor_threads_change_a_bit() {
        let heads = Heads { heads: 6, kv_heads: 2, head_dim: 64 };
        let (q, keys, values) = (wave(90 * 384, 0.9), wave(90 * 128, 0.31), wave(90 * 128, 0.17));
        let sees = |row: usize| {
            let page = Page { keys: &keys[..(row + 1) * 128], values: &values[..(row + 1) * 128] };
            Query { q: &q[row * 384..][..384], pages: vec![page] }
        };
        let rows: Vec<_> = (0..90).map(sees).collect();
        for isa in Isa::available() {
            let run = |rows: &[Query<'_>], threads| {
                let mut out = vec![f32::NAN; rows.len() * 384];
                attention(rows, heads, 0.1, &mut out, &Compute::new(isa, threads).unwrap());
                out
            };
            let together = run(&rows, 3);
            assert_eq!(together, run(&rows, 1), "{isa}");
            for (row, together) in rows.chunks(1).zip(together.chunks(384)) {
                assert_eq!(run(row, 1), together, "{isa}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "ragged page")]
    fn refuses_half_a_token() {
        let page = Page { keys: &[0.0; 7], values: &[0.0; 7] };
        let rows = [Query { q: &[0.0; 12], pages: vec![page] }];
        attention(&rows, HEADS, 1.0, &mut [0.0; 12], &Compute::serving());
    }
}
