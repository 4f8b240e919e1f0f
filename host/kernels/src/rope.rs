//! Rotary position embedding (Su et al., 2021, arXiv 2104.09864).

use crate::Compute;

/// What an element costs beside a multiplication.
const COST: usize = 4;

/// Which two elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeLayout {
    /// Element `i` with `i + n` of the `2n` rotated ones (GPT-NeoX, most Hugging Face models).
    Halves,
    /// Element `2i` with `2i + 1` (GPT-J, Cohere, llama in GGUF).
    Pairs,
}

/// Cosines and sines of one position, one for each pair that is rotated.
pub type Angles = (Vec<f32>, Vec<f32>);

/// Rotates every row of `x`, which is `(angles.len(), heads, head_dim)`, by the angles of its position, in place:
/// the first `2 * cos.len()` elements of every head; the rest of a head is left alone.
///
/// # Panics
/// When the lengths disagree.
pub fn rope(
    x: &mut [f32],
    head_dim: usize,
    angles: &[Angles],
    layout: RopeLayout,
    compute: &Compute,
) {
    assert!(x.len().is_multiple_of(angles.len()), "x is not whole rows");
    compute.rows(x, x.len() / angles.len(), COST, |row, x| {
        let (cos, sin) = &angles[row];
        rotate(x, head_dim, cos, sin, layout);
    });
}

/// One row.
fn rotate(x: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32], layout: RopeLayout) {
    assert_eq!(x.len() % head_dim, 0, "x is not whole heads of {head_dim}");
    assert_eq!(cos.len(), sin.len(), "cos and sin differ in length");
    assert!(2 * cos.len() <= head_dim, "more angles than a head of {head_dim} has pairs");
    for head in x.chunks_exact_mut(head_dim) {
        match layout {
            RopeLayout::Halves => halves(&mut head[..2 * cos.len()], cos, sin),
            RopeLayout::Pairs => pairs(&mut head[..2 * cos.len()], cos, sin),
        }
    }
}

fn halves(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = x.split_at_mut(cos.len());
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

fn pairs(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (([a, b], cos), sin) in x.as_chunks_mut().0.iter_mut().zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_swaps_the_two_that_belong_together() {
        let turn = |layout| {
            let mut x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            let angles = [(vec![0.0, 1.0], vec![1.0, 0.0])];
            rope(&mut x, 6, &angles, layout, &Compute::scalar());
            x
        };
        assert_eq!(turn(RopeLayout::Halves), [-3.0, 2.0, 1.0, 4.0, 5.0, 6.0]);
        assert_eq!(turn(RopeLayout::Pairs), [-2.0, 1.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn heads_are_rotated_alike_and_each_row_by_its_own_angles() {
        let mut x = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let angles = [(vec![0.6], vec![0.8]), (vec![0.0], vec![1.0])];
        rope(&mut x, 2, &angles, RopeLayout::Halves, &Compute::scalar());
        assert_eq!(x, [0.6, 0.8, 0.6, 0.8, 0.0, 1.0, 0.0, 1.0]);
    }
}
