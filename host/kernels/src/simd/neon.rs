//! NEON: four registers each, integers by the dot products of FEAT_DotProd.
#![expect(unsafe_code, reason = "intrinsics, and instructions that have none yet")]

mod half;
mod head;

use std::arch::{aarch64::*, asm};

use super::{LANES, Simd};
use crate::packed::{Layout, Panel};
use half::half;

/// 1.5 * 2^23 as f32. The bits of it and of a small integer, added up, are those of their sum as f32, so sums of
/// integers that begin here are numbers less this: a sum over 32 inputs is less than 2^20. Neoverse V2 subtracts
/// four times as fast as it converts.
pub(crate) const MAGIC: i32 = 0x4b40_0000;

/// Exists where FEAT_DotProd does.
#[derive(Clone, Copy)]
pub(crate) struct Dotprod(());

impl Dotprod {
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Registers of 16 numbers.
const PARTS: usize = LANES / 4;

/// Adds to each of four sums the products of four signed bytes of `a` and of `b`.
///
/// # Safety
/// The machine has FEAT_DotProd.
#[inline(always)]
unsafe fn sdot(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: the caller's promise; registers alone.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// What sums of integers that began at [`MAGIC`] are.
#[inline(always)]
pub(crate) fn number(sums: int32x4_t) -> float32x4_t {
    // SAFETY: NEON is part of aarch64.
    unsafe {
        let magic = vreinterpretq_f32_s32(vdupq_n_s32(MAGIC));
        vsubq_f32(vreinterpretq_f32_s32(sums), magic)
    }
}

// SAFETY of all blocks below: NEON is part of aarch64, `self` exists where the dot products do, and references
// are to as many bytes as are loaded or stored.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, given above")]
impl Simd for Dotprod {
    const TILE: usize = 2;
    const STREAM: usize = 2;
    const WIDE: bool = false;
    const SIGNED: bool = true;

    type Floats = [float32x4_t; PARTS];
    type Ints = [int32x4_t; PARTS];
    type Bytes = [uint8x16_t; PARTS];

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Floats {
        unsafe { [vdupq_n_f32(number); PARTS] }
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> Self::Floats {
        let mut out = self.splat(0.0);
        for (out, numbers) in out.iter_mut().zip(numbers.as_chunks::<4>().0) {
            *out = unsafe { vld1q_f32(numbers.as_ptr()) };
        }
        out
    }

    #[inline(always)]
    fn load_half(self, bytes: &[u8; 2 * LANES]) -> Self::Floats {
        let mut out = self.splat(0.0);
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *out = half(bytes);
        }
        out
    }

    #[inline(always)]
    fn load_brain(self, bytes: &[u8; 2 * LANES]) -> Self::Floats {
        let mut out = self.splat(0.0);
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
            unsafe {
                let brains = vreinterpret_u16_u8(vld1_u8(bytes.as_ptr()));
                *out = vreinterpretq_f32_u32(vshll_n_u16::<16>(brains));
            }
        }
        out
    }

    #[inline(always)]
    fn store(self, numbers: Self::Floats, out: &mut [f32; LANES]) {
        for (numbers, out) in numbers.into_iter().zip(out.as_chunks_mut::<4>().0) {
            unsafe { vst1q_f32(out.as_mut_ptr(), numbers) };
        }
    }

    #[inline(always)]
    fn add(self, mut a: Self::Floats, b: Self::Floats) -> Self::Floats {
        for (a, b) in a.iter_mut().zip(b) {
            *a = unsafe { vaddq_f32(*a, b) };
        }
        a
    }

    #[inline(always)]
    fn multiply(self, mut a: Self::Floats, b: Self::Floats) -> Self::Floats {
        for (a, b) in a.iter_mut().zip(b) {
            *a = unsafe { vmulq_f32(*a, b) };
        }
        a
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Floats, b: Self::Floats, mut c: Self::Floats) -> Self::Floats {
        for ((a, b), c) in a.into_iter().zip(b).zip(&mut c) {
            *c = unsafe { vfmaq_f32(*c, a, b) };
        }
        c
    }

    #[inline(always)]
    fn multiply_subtract(
        self,
        a: Self::Floats,
        b: Self::Floats,
        mut c: Self::Floats,
    ) -> Self::Floats {
        for ((a, b), c) in a.into_iter().zip(b).zip(&mut c) {
            *c = unsafe { vfmsq_f32(*c, a, b) };
        }
        c
    }

    #[inline(always)]
    fn splat_int(self, number: i32) -> Self::Ints {
        unsafe { [vdupq_n_s32(number); PARTS] }
    }

    #[inline(always)]
    fn add_ints(self, mut a: Self::Ints, b: Self::Ints) -> Self::Ints {
        for (a, b) in a.iter_mut().zip(b) {
            *a = unsafe { vaddq_s32(*a, b) };
        }
        a
    }

    #[inline(always)]
    fn to_floats(self, ints: Self::Ints) -> Self::Floats {
        let mut out = self.splat(0.0);
        for (out, ints) in out.iter_mut().zip(ints) {
            *out = unsafe { vcvtq_f32_s32(ints) };
        }
        out
    }

    #[inline(always)]
    fn bytes<const WIDE: bool>(self, bytes: &[u8; 4 * LANES]) -> Self::Bytes {
        let mut out = unsafe { [vdupq_n_u8(0); PARTS] };
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<16>().0) {
            *out = unsafe { vld1q_u8(bytes.as_ptr()) };
            if WIDE {
                *out = unsafe { veorq_u8(*out, vdupq_n_u8(0x80)) };
            }
        }
        out
    }

    #[inline(always)]
    fn dot<const WIDE: bool>(
        self,
        mut sums: Self::Ints,
        weights: Self::Bytes,
        quad: i32,
    ) -> Self::Ints {
        unsafe {
            let x = vreinterpretq_s8_s32(vdupq_n_s32(quad));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = sdot(*sum, vreinterpretq_s8_u8(weights), x);
            }
        }
        sums
    }

    #[inline(always)]
    fn nibbles(self, bytes: Self::Bytes) -> [Self::Bytes; 2] {
        let mut out = [bytes; 2];
        for (index, bytes) in bytes.into_iter().enumerate() {
            out[0][index] = unsafe { vandq_u8(bytes, vdupq_n_u8(15)) };
            out[1][index] = unsafe { vshrq_n_u8::<4>(bytes) };
        }
        out
    }

    #[inline(always)]
    fn raise<const WIDTH: u32>(
        self,
        mut nibbles: Self::Bytes,
        bits: Self::Bytes,
        from: usize,
    ) -> Self::Bytes {
        unsafe {
            let down = vdupq_n_s8(-(from as i8));
            for (nibbles, bits) in nibbles.iter_mut().zip(bits) {
                let bits = vandq_u8(vshlq_u8(bits, down), vdupq_n_u8((1 << WIDTH) - 1));
                *nibbles = vorrq_u8(*nibbles, vshlq_n_u8::<4>(bits));
            }
        }
        nibbles
    }

    #[inline(always)]
    fn load_steps(self, steps: &[i8; LANES]) -> Self::Floats {
        unsafe {
            let steps = vld1q_s8(steps.as_ptr());
            let (low, high) = (vmovl_s8(vget_low_s8(steps)), vmovl_high_s8(steps));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                vcvtq_f32_s32(vmovl_high_s16(low)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                vcvtq_f32_s32(vmovl_high_s16(high)),
            ]
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        unsafe {
            asm!(
                "prfm pldl1keep, [{address}]",
                address = in(reg) address,
                options(nostack, preserves_flags, readonly),
            );
        }
    }

    #[inline(always)]
    fn open(self, layout: Layout, head: &[u8], depth: usize, panel: &mut Panel) {
        unsafe { head::open(layout, head, depth, panel) }
    }
}
