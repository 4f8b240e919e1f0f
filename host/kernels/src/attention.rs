//! Attention of one query row over the keys and values of its sequence.

use crate::Compute;

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

/// Consecutive tokens of a KV cache, both `(tokens, kv_heads, head_dim)`.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Keys, already rotated.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
}

/// `out = softmax(scale * q · Kᵀ) · V` for every head. `q` and `out` are `(heads, head_dim)`; `pages` hold
/// the tokens the query may see, oldest first: a causal mask or a window is a matter of which are given.
///
/// # Panics
/// When the lengths disagree.
pub fn attention<'a>(
    q: &[f32],
    pages: impl Iterator<Item = Page<'a>> + Clone,
    heads: Heads,
    scale: f32,
    out: &mut [f32],
    compute: &Compute,
) {
    let Heads { heads: query_heads, kv_heads, head_dim } = heads;
    assert_eq!(q.len(), query_heads * head_dim, "q has the wrong length");
    assert_eq!(out.len(), q.len(), "q and out differ in length");
    assert_eq!(query_heads % kv_heads, 0, "query heads do not divide among key heads");
    let whole = |page: Page<'_>| page.keys.len().is_multiple_of(kv_heads * head_dim);
    assert!(pages.clone().all(|p| whole(p) && p.keys.len() == p.values.len()), "ragged page");
    let (ops, width) = (compute.ops(), kv_heads * head_dim);
    let mut scores = Vec::new(); // (tokens)
    let queries = q.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim));
    for (head, (q, out)) in queries.enumerate() {
        let offset = head / (query_heads / kv_heads) * head_dim;
        scores.clear();
        for page in pages.clone() {
            for keys in page.keys.chunks_exact(width) {
                scores.push((ops.dot)(q, &keys[offset..offset + head_dim]) * scale);
            }
        }
        (ops.softmax)(&mut scores);
        out.fill(0.0);
        let mut weights = scores.iter();
        for page in pages.clone() {
            for (values, weight) in page.values.chunks_exact(width).zip(&mut weights) {
                (ops.add_scaled)(out, *weight, &values[offset..offset + head_dim]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let pages = pages.map(|(keys, values)| Page { keys, values });
            let mut out = vec![f32::NAN; 12];
            attention(&q, pages, HEADS, 0.8, &mut out, &Compute::serving());
            for (ours, naive) in out.iter().zip(&expect) {
                assert!((ours - naive).abs() < 1e-5, "pages of {page}: {ours} for {naive}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "ragged page")]
    fn refuses_half_a_token() {
        let page = Page { keys: &[0.0; 7], values: &[0.0; 7] };
        let page = std::iter::once(page);
        attention(&[0.0; 12], page, HEADS, 1.0, &mut [0.0; 12], &Compute::serving());
    }
}
