//! The head of a unit with NEON: the same scales as [`expand_head`] gives, bit for bit.

use std::arch::aarch64::*;

use super::half::half;
use crate::{
    blocking::{DEPTH, ROWS, STEP},
    packed::{Head, Layout, Panel, expand_head},
};

/// Registers that the numbers of a strip fill.
const REGISTERS: usize = ROWS / 4;
/// Numbers of a strip.
type Strip = [float32x4_t; REGISTERS];

/// Writes the scales and minima of a unit that begins `depth` inputs into the panel.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn open(layout: Layout, head: &[u8], depth: usize, panel: &mut Panel) {
    let (block, first) = (depth / DEPTH, depth % DEPTH / layout.shared);
    match layout.head {
        Head::Half => store(halves(head), &mut panel.factors[block][first]),
        Head::HalfMinimum => {
            store(halves(head), &mut panel.factors[block][first]);
            let mut minima = halves(&head[2 * ROWS..]);
            minima.iter_mut().for_each(|minimum| *minimum = vnegq_f32(*minimum));
            store(minima, &mut panel.minima[block][first]);
        }
        Head::Factors => factors(head, block, panel),
        Head::ByteFactors => byte_factors(head, block, panel),
        Head::HalfZero => {
            let scales = halves(head);
            let minima = times(scales, zeros(&head[2 * ROWS..]));
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
#[target_feature(enable = "neon")]
fn factors(head: &[u8], block: usize, panel: &mut Panel) {
    let (scales, minima) = (halves(head), halves(&head[2 * ROWS..]));
    let words = head[4 * ROWS..].as_chunks::<16>().0;
    for register in 0..REGISTERS {
        let word = |index: usize| load(&words[index * REGISTERS + register]);
        let (four, upper) = (vdupq_n_u8(15), vdupq_n_u8(0x30));
        let tops = word(2);
        for side in 0..2 {
            // The upper two bits of a factor, then those of a minimum.
            let tops = match side {
                0 => [vshlq_n_u8::<4>(tops), vshlq_n_u8::<2>(tops)],
                _ => [tops, vshrq_n_u8::<2>(tops)],
            };
            let low = word(side);
            let factors = by_bytes(scales[register], vbslq_u8(upper, tops[0], vandq_u8(low, four)));
            let least = by_bytes(minima[register], vbslq_u8(upper, tops[1], vshrq_n_u8::<4>(low)));
            for step in 0..DEPTH / STEP {
                store_one(factors[step], register, &mut panel.factors[block + side][step]);
                store_one(least[step], register, &mut panel.minima[block + side][step]);
            }
        }
    }
}

/// The 8-bit factors of two blocks.
#[inline]
#[target_feature(enable = "neon")]
fn byte_factors(head: &[u8], block: usize, panel: &mut Panel) {
    let scales = halves(head);
    let factors = panel.factors[block..].iter_mut().flatten();
    for (bytes, factors) in head[2 * ROWS..].as_chunks::<ROWS>().0.iter().zip(factors) {
        let mut numbers = scales;
        for (bytes, numbers) in bytes.as_chunks::<16>().0.iter().zip(numbers.as_chunks_mut::<4>().0)
        {
            *numbers = signed(load(bytes));
        }
        store(times(scales, numbers), factors);
    }
}

/// The zeros of 4 bits of all rows.
#[inline]
#[target_feature(enable = "neon")]
fn zeros(bytes: &[u8]) -> Strip {
    let bytes = load(&bytes.as_chunks::<16>().0[0]);
    let mut numbers = [vdupq_n_f32(0.0); REGISTERS];
    let (first, second) = numbers.split_at_mut(REGISTERS / 2);
    first.copy_from_slice(&signed(vandq_u8(bytes, vdupq_n_u8(15))));
    second.copy_from_slice(&signed(vshrq_n_u8::<4>(bytes)));
    numbers
}

/// Four numbers by each of the four bytes of as many words, which are less than 64. A byte becomes a number where
/// it is in its word, as the mantissa of one that is 2^23 more; what that makes it too large is taken off the
/// other factor, which has an exponent to spare.
#[inline]
#[target_feature(enable = "neon")]
fn by_bytes(scale: float32x4_t, words: uint8x16_t) -> [float32x4_t; 4] {
    let words = vreinterpretq_u32_u8(words);
    let base = vdupq_n_f32((1 << 23) as f32);
    let number = |mask: u32, words: uint32x4_t| {
        let raised = vbslq_u32(vdupq_n_u32(mask), words, vreinterpretq_u32_f32(base));
        vsubq_f32(vreinterpretq_f32_u32(raised), base)
    };
    [
        vmulq_f32(number(0xff, words), scale),
        vmulq_f32(number(0xff00, words), vmulq_n_f32(scale, 1.0 / 256.0)),
        vmulq_f32(number(0xff_0000, words), vmulq_n_f32(scale, 1.0 / 65536.0)),
        vmulq_f32(number(0xff, vshrq_n_u32::<24>(words)), scale),
    ]
}

/// 16 signed bytes as numbers: a byte, made unsigned, is the mantissa of a number that is 2^23 more.
#[inline]
#[target_feature(enable = "neon")]
fn signed(bytes: uint8x16_t) -> [float32x4_t; 4] {
    let (bytes, none) = (veorq_u8(bytes, vdupq_n_u8(0x80)), vdupq_n_u8(0));
    let halves = [
        vreinterpretq_u16_u8(vzip1q_u8(bytes, none)),
        vreinterpretq_u16_u8(vzip2q_u8(bytes, none)),
    ];
    let upper = vdupq_n_u16(0x4b00); // of 2^23
    let base = vdupq_n_f32((1 << 23) as f32 + 128.0);
    let number = |bits: uint16x8_t| vsubq_f32(vreinterpretq_f32_u16(bits), base);
    [
        number(vzip1q_u16(halves[0], upper)),
        number(vzip2q_u16(halves[0], upper)),
        number(vzip1q_u16(halves[1], upper)),
        number(vzip2q_u16(halves[1], upper)),
    ]
}

/// The f16 of all rows that `bytes` begin with.
#[inline]
#[target_feature(enable = "neon")]
fn halves(bytes: &[u8]) -> Strip {
    let mut numbers = [vdupq_n_f32(0.0); REGISTERS];
    for (numbers, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *numbers = half(bytes);
    }
    numbers
}

#[inline]
#[target_feature(enable = "neon")]
fn times(mut a: Strip, b: Strip) -> Strip {
    for (a, b) in a.iter_mut().zip(b) {
        *a = vmulq_f32(*a, b);
    }
    a
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: 16 bytes.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(numbers: Strip, out: &mut [f32; ROWS]) {
    for (register, numbers) in numbers.into_iter().enumerate() {
        store_one(numbers, register, out);
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn store_one(numbers: float32x4_t, register: usize, out: &mut [f32; ROWS]) {
    let out = &mut out.as_chunks_mut::<4>().0[register];
    // SAFETY: four numbers.
    unsafe { vst1q_f32(out.as_mut_ptr(), numbers) }
}
