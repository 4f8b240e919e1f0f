//! AVX-512 with VNNI: one register each.
#![expect(unsafe_code, reason = "intrinsics")]

mod head;

use std::arch::x86_64::*;

use super::{LANES, Simd};
use crate::packed::{Layout, Panel};

/// Exists where AVX-512 F, BW, DQ, VL and VNNI do.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

// SAFETY of all blocks below: `self` exists where the instructions do, and references are to as many bytes
// as are loaded or stored.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, given above")]
impl Simd for Avx512 {
    const TILE: usize = 6;
    const STREAM: usize = 4;
    const WIDE: bool = true;
    const SIGNED: bool = false;

    type Floats = __m512;
    type Ints = __m512i;
    type Bytes = __m512i;

    #[inline(always)]
    fn splat(self, number: f32) -> __m512 {
        unsafe { _mm512_set1_ps(number) }
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> __m512 {
        unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
    }

    #[inline(always)]
    fn load_half(self, bytes: &[u8; 2 * LANES]) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_brain(self, bytes: &[u8; 2 * LANES]) -> __m512 {
        unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
        }
    }

    #[inline(always)]
    fn store(self, numbers: __m512, out: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), numbers) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn multiply(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn multiply_subtract(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn splat_int(self, number: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(number) }
    }

    #[inline(always)]
    fn add_ints(self, a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn to_floats(self, ints: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(ints) }
    }

    #[inline(always)]
    fn bytes<const WIDE: bool>(self, bytes: &[u8; 4 * LANES]) -> __m512i {
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn dot<const WIDE: bool>(self, sums: __m512i, weights: __m512i, quad: i32) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(quad)) }
    }

    #[inline(always)]
    fn nibbles(self, bytes: __m512i) -> [__m512i; 2] {
        unsafe {
            let low = _mm512_set1_epi8(15);
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low);
            [_mm512_and_si512(bytes, low), high]
        }
    }

    #[inline(always)]
    fn raise<const WIDTH: u32>(self, nibbles: __m512i, bits: __m512i, from: usize) -> __m512i {
        unsafe {
            let bits = _mm512_srl_epi16(bits, _mm_cvtsi32_si128(from as i32));
            let bits = _mm512_and_si512(bits, _mm512_set1_epi8((1 << WIDTH) - 1));
            _mm512_or_si512(nibbles, _mm512_slli_epi16::<4>(bits))
        }
    }

    #[inline(always)]
    fn load_steps(self, steps: &[i8; LANES]) -> __m512 {
        unsafe {
            let steps = _mm_loadu_si128(steps.as_ptr().cast());
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(steps))
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn open(self, layout: Layout, head: &[u8], depth: usize, panel: &mut Panel) {
        unsafe { head::open(layout, head, depth, panel) }
    }
}
