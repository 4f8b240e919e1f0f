//! Blocks of a KV cache: keys and values of consecutive tokens of one layer, laid out for
//! [`attention`](crate::attention) and in the numbers that they are kept in.

mod narrow;
mod number;
mod pool;
mod storage;

use std::{mem, sync::Arc};

use narrow::{halves, quantise};
pub(crate) use number::{Half, Number};
pub use pool::KvPool;
use storage::Numbers;
pub(crate) use storage::Scales;
pub use storage::{BLOCK_TOKENS, KvFormat, KvShape};

/// Room for [`BLOCK_TOKENS`] tokens. Of each head first all keys, `(head_dim, tokens)`, so that one register
/// holds the same element of many tokens, then all values, `(tokens, head_dim)`.
#[derive(Debug)]
pub struct KvBlock {
    shape: KvShape,
    numbers: Numbers,
    /// Where its memory goes when it is dropped.
    home: Option<Arc<KvPool>>,
}

/// One head of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeadOf<'a> {
    F32(Sides<'a, f32>),
    F16(Sides<'a, Half>),
    Int8(Sides<'a, i8>),
}

/// Keys and values of one head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides<'a, N> {
    /// (head_dim, tokens)
    pub(crate) keys: &'a [N],
    /// (tokens, head_dim)
    pub(crate) values: &'a [N],
    pub(crate) scales: Option<&'a Scales>,
}

impl KvBlock {
    /// A block of zeros, of no pool.
    pub fn new(shape: KvShape) -> Self {
        Self { shape, numbers: Numbers::zeros(shape), home: None }
    }

    /// A block of zeros, whose memory goes back to the pool.
    pub fn of(pool: &Arc<KvPool>) -> Self {
        Self { shape: pool.shape(), numbers: pool.zeros(), home: Some(Arc::clone(pool)) }
    }

    /// What it holds of a token.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// Writes the key and the value, both `(kv_heads, head_dim)`, of the token at place `at`.
    ///
    /// # Panics
    /// When there is no such place, or the lengths disagree.
    pub fn write(&mut self, at: usize, key: &[f32], value: &[f32]) {
        assert!(at < BLOCK_TOKENS, "a block has {BLOCK_TOKENS} places");
        let width = self.shape.width();
        assert!(key.len() == width && value.len() == width, "key or value has the wrong length");
        let head_dim = self.shape.head_dim;
        match &mut self.numbers {
            Numbers::F32(numbers) => put(numbers, head_dim, at, key, value),
            Numbers::F16(numbers) => put(numbers, head_dim, at, &halves(key), &halves(value)),
            Numbers::Int8(numbers, scales) => {
                let [(key, key_scales), (value, value_scales)] =
                    [key, value].map(|side| quantise(side, head_dim));
                put(numbers, head_dim, at, &key, &value);
                let of_heads = key_scales.into_iter().zip(value_scales);
                for (scales, (key, value)) in scales.iter_mut().zip(of_heads) {
                    (scales[0][at], scales[1][at]) = (key, value);
                }
            }
        }
    }

    /// Where the keys of a head begin.
    pub(crate) fn address(&self, head: usize) -> *const u8 {
        match self.head(head) {
            HeadOf::F32(sides) => sides.keys.as_ptr().cast(),
            HeadOf::F16(sides) => sides.keys.as_ptr().cast(),
            HeadOf::Int8(sides) => sides.keys.as_ptr().cast(),
        }
    }

    /// One head of all tokens.
    pub(crate) fn head(&self, head: usize) -> HeadOf<'_> {
        let head_dim = self.shape.head_dim;
        match &self.numbers {
            Numbers::F32(numbers) => HeadOf::F32(sides(numbers, head_dim, head, None)),
            Numbers::F16(numbers) => HeadOf::F16(sides(numbers, head_dim, head, None)),
            Numbers::Int8(numbers, scales) => {
                HeadOf::Int8(sides(numbers, head_dim, head, Some(&scales[head])))
            }
        }
    }
}

/// The copy is of the same pool.
impl Clone for KvBlock {
    fn clone(&self) -> Self {
        let numbers = match &self.home {
            Some(home) => home.copy(&self.numbers),
            None => self.numbers.clone(),
        };
        Self { shape: self.shape, numbers, home: self.home.clone() }
    }
}

impl Drop for KvBlock {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.take_back(mem::replace(&mut self.numbers, Numbers::F32(Box::default())));
        }
    }
}

fn sides<'a, N>(
    numbers: &'a [N],
    head_dim: usize,
    head: usize,
    scales: Option<&'a Scales>,
) -> Sides<'a, N> {
    let side = head_dim * BLOCK_TOKENS;
    let (keys, values) = numbers[head * 2 * side..][..2 * side].split_at(side);
    Sides { keys, values, scales }
}

fn put<N: Copy>(numbers: &mut [N], head_dim: usize, at: usize, key: &[N], value: &[N]) {
    let side = head_dim * BLOCK_TOKENS;
    let heads = key.chunks_exact(head_dim).zip(value.chunks_exact(head_dim));
    for (room, (key, value)) in numbers.chunks_exact_mut(2 * side).zip(heads) {
        let (keys, values) = room.split_at_mut(side);
        for (tokens, key) in keys.as_chunks_mut::<BLOCK_TOKENS>().0.iter_mut().zip(key) {
            tokens[at] = *key;
        }
        values[at * head_dim..][..head_dim].copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::noise;

    /// Every number of one head, by token: keys, then values.
    fn read<N: Number>(sides: Sides<'_, N>, head_dim: usize) -> Vec<[Vec<f32>; 2]> {
        let token = |token: usize| {
            let scale = |side: usize| sides.scales.map_or(1.0, |scales| scales[side][token]);
            let key = |d: usize| sides.keys[d * BLOCK_TOKENS + token].number() * scale(0);
            let value = |d: usize| sides.values[token * head_dim + d].number() * scale(1);
            [(0..head_dim).map(key).collect(), (0..head_dim).map(value).collect()]
        };
        (0..BLOCK_TOKENS).map(token).collect()
    }

    /// Writes a block and looks for every number where it belongs, as near as the format allows.
    fn check(format: KvFormat, error: f32) {
        let shape = KvShape { kv_heads: 3, head_dim: 5, format };
        let mut block = KvBlock::new(shape);
        let (keys, values) = (noise(64 * 15, 1), noise(64 * 15, 2));
        for (at, (key, value)) in keys.chunks(15).zip(values.chunks(15)).enumerate() {
            block.write(at, key, value);
        }
        for head in 0..3 {
            let tokens = match block.head(head) {
                HeadOf::F32(sides) => read(sides, 5),
                HeadOf::F16(sides) => read(sides, 5),
                HeadOf::Int8(sides) => read(sides, 5),
            };
            for (at, token) in tokens.iter().enumerate() {
                for (side, wrote) in token.iter().zip([&keys, &values]) {
                    for (read, wrote) in side.iter().zip(&wrote[at * 15 + head * 5..]) {
                        assert!((read - wrote).abs() <= error, "{format:?}: {read} for {wrote}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        check(KvFormat::F32, 0.0);
        check(KvFormat::F16, 1.0 / 4096.0);
        check(KvFormat::Int8, 1.0 / 254.0);
    }

    #[test]
    fn a_token_takes_what_its_numbers_and_scales_do() {
        let bytes = |format| KvShape { kv_heads: 2, head_dim: 64, format }.token_bytes();
        let all = [KvFormat::F32, KvFormat::F16, KvFormat::Int8].map(bytes);
        assert_eq!(all, [2 * 2 * 64 * 4, 2 * 2 * 64 * 2, 2 * 2 * (64 + 4)]);
    }

    #[test]
    #[should_panic(expected = "wrong length")]
    fn refuses_half_a_token() {
        let mut block = KvBlock::new(KvShape { kv_heads: 2, head_dim: 4, format: KvFormat::F16 });
        block.write(0, &[0.0; 8], &[0.0; 7]);
    }
}
