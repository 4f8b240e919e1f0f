//! The sweep with the tiles of AMX: a tile of 16 rows of activations times up to 64 inputs meets one of as many inputs
//! times 16 rows of weights, which is how they lie in a panel, and adds to 16 times 16 sums of integers. Registers
//! turn those into numbers, in the order of [`super::tile`], so that a row gives the same bits either way.
//!
//! Counted for a *unit*, 16 rows of activations times a strip and a block, on a core with one product of tiles
//! in 16 cycles and two registers of numbers in each:
//!
//! | scales of a block | tiles | registers | of the peak of tiles | AVX-512 alone |
//! |---|---|---|---|---|
//! | 1 | 8 halves, 128 cycles | 352 operations, 176 cycles | 36 % | 688 cycles |
//! | 4, with minima | 8 halves, 128 cycles | 544 operations, 272 cycles | 24 % | 784 cycles |
//! | 4 | 8 halves, 128 cycles | 416 operations, 208 cycles | 31 % | 720 cycles |
//! | 8 | 16 quarters, 256 cycles | 800 operations, 400 cycles | 16 % | 912 cycles |
//!
//! A product takes its 16 cycles however few inputs share a scale, and registers are what is waited for. So a unit's
//! tiles are multiplied while the numbers of the one before it are formed. With a scale of the activations for a whole
//! block, and 6-bit factors folded into weights as two planes of bytes, it would be 144 cycles for 272; but that is
//! other arithmetic, also for a few rows, as a row must not depend on how many come with it.
//!
//! Weights of panels with minima are taken as unsigned, as they are stored; from others the zero is taken off first,
//! so that no register has to.
#![expect(unsafe_code, reason = "tiles are loaded and stored by address")]

#[cfg(test)]
mod emulator;
mod hardware;
#[cfg(test)]
mod parity;
mod tiles;

use std::{mem::offset_of, slice};

use super::tile::{add_to, at_whole};
use crate::{
    activations::{Block, STEPS},
    blocking::{BLOCKS, DEPTH, PARTS, ROWS},
    packed::Panel,
    simd::{LANES, Simd},
};
pub(crate) use hardware::Hardware;
use tiles::{ROW_BYTES, ROWS_MAX};
pub(crate) use tiles::{Shapes, Tiles};

/// Fewer rows are faster without tiles, which have to be shaped and filled first.
pub(crate) const ROWS_MIN: usize = 2 * ROWS_MAX;
/// Units that meet the same weights before the next block: what they add to stays in the nearest cache.
const UNITS: usize = 4;
/// Bytes of four inputs of a strip.
const QUAD: usize = 4 * ROWS;

/// Blocks of weights, a byte each.
type Weights = [[[u8; QUAD]; DEPTH / 4]; BLOCKS];

/// Registers whose integers lie in memory as their bytes do.
pub(crate) trait Registers: Simd {
    /// 16 integers from memory.
    fn integers(self, bytes: &[u8; 4 * LANES]) -> Self::Ints;
}

impl<B: Copy, S: Simd<Ints = B, Bytes = B>> Registers for S {
    #[inline(always)]
    fn integers(self, bytes: &[u8; 4 * LANES]) -> B {
        self.bytes::<false>(bytes)
    }
}

/// As [`super::scalar::sweep`], for at least 16 rows.
///
/// # Panics
/// Where there are fewer rows, or fewer blocks than they need.
#[inline(always)]
pub(crate) fn sweep<S: Registers, T: Tiles>(
    simd: S,
    tiles: &mut T,
    panel: &Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    assert!(out.len() >= ROWS_MAX, "fewer rows than a tile has");
    assert!(blocks.len() >= (out.len() - 1) * stride + panel.blocks, "rows lack blocks");
    if panel.has_minima {
        let operands = Operands { panel, weights: &panel.quants, blocks, stride };
        match panel.scales {
            1 => units::<S, T, 4, 1, true>(simd, tiles, operands, out),
            _ => units::<S, T, 4, 4, true>(simd, tiles, operands, out),
        }
    } else {
        /// Rows of tiles are lines of the cache.
        #[repr(align(64))]
        struct Aligned(Weights);
        let mut weights = Aligned([[[0; QUAD]; DEPTH / 4]; BLOCKS]);
        take_zero_off(panel, &mut weights.0);
        let operands = Operands { panel, weights: &weights.0, blocks, stride };
        match panel.scales {
            4 => units::<S, T, 4, 4, false>(simd, tiles, operands, out),
            _ => units::<S, T, 8, 8, false>(simd, tiles, operands, out),
        }
    }
}

/// What is multiplied.
#[derive(Clone, Copy)]
struct Operands<'a> {
    /// Whose scales and minima are meant.
    panel: &'a Panel,
    weights: &'a Weights,
    /// As many as all rows need.
    blocks: &'a [Block],
    stride: usize,
}

/// 16 rows times a block of a strip.
#[derive(Clone, Copy)]
struct Unit {
    block: usize,
    /// The first of its rows.
    first: usize,
    /// Rows that another unit has already: the last tile of rows ends with them.
    skip: usize,
}

impl Unit {
    /// Number `place` of a block, for so many rows.
    #[inline(always)]
    fn of(block: usize, place: usize, rows: usize) -> Self {
        let first = (place * ROWS_MAX).min(rows - ROWS_MAX);
        Self { block, first, skip: place * ROWS_MAX - first }
    }
}

/// The sums of integers of a unit: those of the inputs that share their scales, step by step or half by half.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Sums<const COUNT: usize>([[[[u8; ROW_BYTES]; ROWS_MAX]; PARTS]; COUNT]);

/// Weights less the zero of the panel, as signed bytes.
#[inline(always)]
fn take_zero_off(panel: &Panel, weights: &mut Weights) {
    for (weights, quants) in weights.iter_mut().zip(&panel.quants).take(panel.blocks) {
        for (weight, quant) in weights.as_flattened_mut().iter_mut().zip(quants.as_flattened()) {
            *weight = quant.wrapping_sub(panel.zero as u8);
        }
    }
}

#[inline(always)]
fn units<S: Registers, T: Tiles, const COUNT: usize, const SCALES: usize, const MINIMA: bool>(
    simd: S,
    tiles: &mut T,
    operands: Operands<'_>,
    out: &mut [[f32; ROWS]],
) {
    let empty = Sums::<COUNT>([[[[0; ROW_BYTES]; ROWS_MAX]; PARTS]; COUNT]);
    let (mut sums, mut last_sums) = (empty, empty);
    let (mut sums, mut last_sums) = (&mut sums, &mut last_sums);
    let mut last = None;
    tiles.shape(shapes::<COUNT>());
    let (rows, blocks) = (out.len(), operands.panel.blocks);
    let all = rows.div_ceil(ROWS_MAX);
    // Blocks come in their order for every row.
    for from in (0..all).step_by(UNITS) {
        for block in 0..blocks {
            for place in from..all.min(from + UNITS) {
                let unit = Unit::of(block, place, rows);
                multiply::<T, COUNT, MINIMA>(tiles, operands, unit, sums);
                if let Some(last) = last.replace(unit) {
                    add::<S, COUNT, SCALES, MINIMA>(simd, operands, last, last_sums, out);
                }
                (sums, last_sums) = (last_sums, sums);
            }
        }
    }
    if let Some(last) = last {
        add::<S, COUNT, SCALES, MINIMA>(simd, operands, last, last_sums, out);
    }
}

/// Tiles 0 to 3 are sums of two parts of a block, 4 and 5 their activations, 6 and 7 weights of one.
fn shapes<const COUNT: usize>() -> &'static Shapes {
    const fn of(count: usize) -> Shapes {
        let sums = (ROWS_MAX as u8, ROW_BYTES as u16);
        let activations = (ROWS_MAX as u8, (DEPTH / count) as u16);
        let weights = ((DEPTH / 4 / count) as u8, ROW_BYTES as u16);
        Shapes::of([sums, sums, sums, sums, activations, activations, weights, weights])
    }
    const { &of(COUNT) }
}

/// The products of a unit, part by part, two at a time so that neither waits for the other's tiles.
#[inline(always)]
fn multiply<T: Tiles, const COUNT: usize, const MINIMA: bool>(
    tiles: &mut T,
    operands: Operands<'_>,
    unit: Unit,
    sums: &mut Sums<COUNT>,
) {
    for (pair, [first, second]) in sums.0.as_chunks_mut().0.iter_mut().enumerate() {
        let quads = DEPTH / 4 / COUNT;
        let from = 2 * pair * quads;
        // SAFETY: `shapes` gave tiles as many inputs as a part has, which begin at these quads.
        unsafe {
            multiply_part::<T, MINIMA, 0, 1, 4>(tiles, operands, unit, from, first);
            multiply_part::<T, MINIMA, 2, 3, 5>(tiles, operands, unit, from + quads, second);
        }
    }
}

/// The products of the part of a block from quad `from`. `X` is a tile of activations, `LEFT` and `RIGHT`
/// of sums.
///
/// # Safety
/// The tiles have 16 rows of activations and all weights of a strip, of inputs that the block has from there.
#[inline(always)]
unsafe fn multiply_part<
    T: Tiles,
    const MINIMA: bool,
    const LEFT: usize,
    const RIGHT: usize,
    const X: usize,
>(
    tiles: &mut T,
    operands: Operands<'_>,
    unit: Unit,
    from: usize,
    sums: &mut [[[u8; ROW_BYTES]; ROWS_MAX]; PARTS],
) {
    let (x, stride) = operands.activations(unit, from);
    // SAFETY: the caller's promise, and sums have 16 rows of 64 bytes.
    unsafe {
        tiles.load::<X>(x, stride);
        tiles.load::<6>(operands.weights(unit, from, 0), QUAD);
        tiles.load::<7>(operands.weights(unit, from, 1), QUAD);
        tiles.zero::<LEFT>();
        tiles.zero::<RIGHT>();
        if MINIMA {
            tiles.multiply::<LEFT, X, 6, false>();
            tiles.multiply::<RIGHT, X, 7, false>();
        } else {
            tiles.multiply::<LEFT, X, 6, true>();
            tiles.multiply::<RIGHT, X, 7, true>();
        }
        tiles.store::<LEFT>(sums[0].as_mut_ptr().cast(), ROW_BYTES);
        tiles.store::<RIGHT>(sums[1].as_mut_ptr().cast(), ROW_BYTES);
    }
}

impl<'a> Operands<'a> {
    /// Where the activations of a unit's first row lie, from quad `quad` of the block, and how far from there
    /// those of the next do.
    #[inline(always)]
    fn activations(&self, unit: Unit, quad: usize) -> (*const u8, usize) {
        let blocks = &self.blocks[unit.first * self.stride + unit.block..];
        let first = blocks.as_ptr().cast::<u8>();
        (first.wrapping_add(offset_of!(Block, quads) + 4 * quad), self.stride * size_of::<Block>())
    }

    /// Where the weights of a unit lie, from quad `quad` of the block, of a half of the strip.
    #[inline(always)]
    fn weights(&self, unit: Unit, quad: usize, half: usize) -> *const u8 {
        let weights = self.weights[unit.block].as_flattened();
        weights[quad * QUAD + half * ROW_BYTES..].as_ptr()
    }

    /// The block of one of a unit's rows.
    #[inline(always)]
    fn block(&self, unit: Unit, row: usize) -> &'a Block {
        &self.blocks[(unit.first + row) * self.stride + unit.block]
    }
}

/// Adds what the integers of a unit are worth, as [`super::tile::sweep`] does.
#[inline(always)]
fn add<S: Registers, const COUNT: usize, const SCALES: usize, const MINIMA: bool>(
    simd: S,
    operands: Operands<'_>,
    unit: Unit,
    sums: &Sums<COUNT>,
    out: &mut [[f32; ROWS]],
) {
    let Operands { panel, .. } = operands;
    let factors = load::<S, SCALES>(simd, &panel.factors[unit.block]);
    let minima = load::<S, SCALES>(simd, &panel.minima[unit.block]);
    for row in unit.skip..ROWS_MAX {
        let x = operands.block(unit, row);
        let mut total = [simd.splat(0.0); PARTS];
        for (index, sums) in sums.0.iter().enumerate() {
            let step = index * STEPS / COUNT;
            let (scale, worth) = (simd.splat(x.scales[step]), simd.splat(x.worths[step]));
            for part in 0..PARTS {
                let (dots, total) = (simd.integers(&sums[part][row]), &mut total[part]);
                let dots = simd.to_floats(dots);
                if SCALES == 1 {
                    *total = simd.multiply_add(dots, scale, *total);
                    continue;
                }
                let dots = simd.multiply(dots, scale);
                *total = simd.multiply_add(dots, factors[index][part], *total);
                if MINIMA {
                    *total = simd.multiply_subtract(worth, minima[index][part], *total);
                }
            }
        }
        let mut total = [total];
        if SCALES == 1 {
            let (factors, minima) = (&panel.factors[unit.block][0], &panel.minima[unit.block][0]);
            total = at_whole(simd, total, [x], factors, minima);
        }
        add_to(simd, total, slice::from_mut(&mut out[unit.first + row]));
    }
}

/// The first numbers of a strip's scales.
#[inline(always)]
fn load<S: Simd, const SCALES: usize>(
    simd: S,
    numbers: &[[f32; ROWS]],
) -> [[S::Floats; PARTS]; SCALES] {
    let mut loaded = [[simd.splat(0.0); PARTS]; SCALES];
    for (loaded, numbers) in loaded.iter_mut().zip(numbers) {
        *loaded = super::tile::load(simd, numbers);
    }
    loaded
}
