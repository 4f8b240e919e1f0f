//! The head of a unit with AVX-512: the same scales as [`expand_head`] gives, bit for bit.

use std::arch::x86_64::*;

use super::LANES;
use crate::{
    blocking::{DEPTH, PARTS, ROWS, STEP},
    packed::{Head, Layout, Panel, expand_head},
};

/// Writes the scales and minima of a unit that begins `depth` inputs into the panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn open(layout: Layout, head: &[u8], depth: usize, panel: &mut Panel) {
    let (block, first) = (depth / DEPTH, depth % DEPTH / layout.shared);
    match layout.head {
        Head::Half => store(halves(head), &mut panel.factors[block][first]),
        Head::HalfMinimum => {
            store(halves(head), &mut panel.factors[block][first]);
            let minima = halves(&head[2 * ROWS..]);
            let sign = _mm512_set1_ps(-0.0);
            let minima = minima.map(|minimum| _mm512_xor_ps(minimum, sign));
            store(minima, &mut panel.minima[block][first]);
        }
        Head::Factors => factors(head, block, panel),
        Head::ByteFactors => byte_factors(head, block, panel),
        Head::HalfZero => {
            let scales = halves(head);
            let zeros = nibbles(&head[2 * ROWS..]);
            let minima = [_mm512_mul_ps(scales[0], zeros[0]), _mm512_mul_ps(scales[1], zeros[1])];
            // A group of 64 has two scales where there is one for every 32.
            for place in first..first + layout.depth / layout.shared {
                store(scales, &mut panel.factors[block][place]);
                store(minima, &mut panel.minima[block][place]);
            }
        }
        Head::SingleZero | Head::SingleByteZero => expand_head(layout, head, depth, panel),
    }
}

/// The 6-bit factors of two blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn factors(head: &[u8], block: usize, panel: &mut Panel) {
    let (scales, minima) = (halves(head), halves(&head[2 * ROWS..]));
    let words = &head[4 * ROWS..];
    for part in 0..PARTS {
        let word = |index: usize| load(&words[(index * ROWS + part * LANES) * 4..]);
        let tops = word(2);
        for side in 0..2 {
            let low = word(side);
            let top = if side == 0 { tops } else { _mm512_srli_epi32::<4>(tops) };
            let four = _mm512_set1_epi8(15);
            let top_of_factor = _mm512_slli_epi32::<4>(_mm512_and_si512(top, _mm512_set1_epi8(3)));
            let top_of_least = _mm512_slli_epi32::<2>(_mm512_and_si512(top, _mm512_set1_epi8(12)));
            let factor = _mm512_or_si512(_mm512_and_si512(low, four), top_of_factor);
            let low = _mm512_and_si512(_mm512_srli_epi32::<4>(low), four);
            let least = _mm512_or_si512(low, top_of_least);
            for step in 0..DEPTH / STEP {
                let place = part * LANES;
                let factor = byte_of(factor, step);
                let out = &mut panel.factors[block + side][step][place..];
                store_part(_mm512_mul_ps(scales[part], factor), out);
                let least = byte_of(least, step);
                let out = &mut panel.minima[block + side][step][place..];
                store_part(_mm512_mul_ps(minima[part], least), out);
            }
        }
    }
}

/// The 8-bit factors of two blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn byte_factors(head: &[u8], block: usize, panel: &mut Panel) {
    let (scales, bytes) = (halves(head), head[2 * ROWS..].as_chunks::<LANES>().0);
    let factors = panel.factors[block..].iter_mut().flatten();
    for (bytes, factors) in bytes.as_chunks::<PARTS>().0.iter().zip(factors) {
        for part in 0..PARTS {
            // SAFETY: the 16 bytes of a register.
            let bytes = unsafe { _mm_loadu_si128(bytes[part].as_ptr().cast()) };
            let factor = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
            store_part(_mm512_mul_ps(scales[part], factor), &mut factors[part * LANES..]);
        }
    }
}

/// The zeros of 4 bits of all rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn nibbles(bytes: &[u8]) -> [__m512; PARTS] {
    let bytes = &bytes[..LANES];
    // SAFETY: the 16 bytes of a register.
    let words = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
    let low = _mm512_and_si512(words, _mm512_set1_epi32(15));
    [_mm512_cvtepi32_ps(low), _mm512_cvtepi32_ps(_mm512_srli_epi32::<4>(words))]
}

/// Byte `index` of every word as a number.
#[inline]
#[target_feature(enable = "avx512f")]
fn byte_of(words: __m512i, index: usize) -> __m512 {
    let shifted = _mm512_srl_epi32(words, _mm_cvtsi32_si128(8 * index as i32));
    _mm512_cvtepi32_ps(_mm512_and_si512(shifted, _mm512_set1_epi32(255)))
}

/// The f16 of all rows that `bytes` begin with.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(bytes: &[u8]) -> [__m512; PARTS] {
    let bytes = load(bytes);
    let (first, second) = (_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64::<1>(bytes));
    [_mm512_cvtph_ps(first), _mm512_cvtph_ps(second)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8]) -> __m512i {
    let bytes = &bytes[..64];
    // SAFETY: the 64 bytes of a register.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(numbers: [__m512; PARTS], out: &mut [f32; ROWS]) {
    store_part(numbers[0], &mut out[..LANES]);
    store_part(numbers[1], &mut out[LANES..]);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_part(numbers: __m512, out: &mut [f32]) {
    let out = &mut out[..LANES];
    // SAFETY: the 16 numbers of a register.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), numbers) }
}
