//! AVX2 with FMA and F16C: two registers each.
#![expect(unsafe_code, reason = "intrinsics")]

use std::arch::x86_64::*;

use super::{LANES, Simd};

/// Exists where AVX2, FMA and F16C do.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Numbers of one register.
const WIDTH: usize = LANES / 2;

// SAFETY of all blocks below: `self` exists where the instructions do, and references are to as many bytes
// as are loaded or stored.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, given above")]
impl Simd for Avx2 {
    const TILE: usize = 2;
    const STREAM: usize = 2;
    const WIDE: bool = false;
    const SIGNED: bool = false;

    type Floats = [__m256; 2];
    type Ints = [__m256i; 2];
    type Bytes = [__m256i; 2];

    #[inline(always)]
    fn splat(self, number: f32) -> [__m256; 2] {
        unsafe { [_mm256_set1_ps(number); 2] }
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> [__m256; 2] {
        let start = numbers.as_ptr();
        unsafe { [_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(WIDTH))] }
    }

    #[inline(always)]
    fn load_half(self, bytes: &[u8; 2 * LANES]) -> [__m256; 2] {
        let start = bytes.as_ptr().cast::<__m128i>();
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(start)),
                _mm256_cvtph_ps(_mm_loadu_si128(start.add(1))),
            ]
        }
    }

    #[inline(always)]
    fn load_brain(self, bytes: &[u8; 2 * LANES]) -> [__m256; 2] {
        let mut out = self.splat(0.0);
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<16>().0) {
            unsafe {
                let words = _mm256_cvtepu16_epi32(_mm_loadu_si128(bytes.as_ptr().cast()));
                *out = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words));
            }
        }
        out
    }

    #[inline(always)]
    fn store(self, numbers: [__m256; 2], out: &mut [f32; LANES]) {
        let start = out.as_mut_ptr();
        unsafe {
            _mm256_storeu_ps(start, numbers[0]);
            _mm256_storeu_ps(start.add(WIDTH), numbers[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn multiply(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn multiply_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn multiply_subtract(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fnmadd_ps(a[0], b[0], c[0]), _mm256_fnmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn splat_int(self, number: i32) -> [__m256i; 2] {
        unsafe { [_mm256_set1_epi32(number); 2] }
    }

    #[inline(always)]
    fn add_ints(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
    }

    #[inline(always)]
    fn to_floats(self, ints: [__m256i; 2]) -> [__m256; 2] {
        unsafe { [_mm256_cvtepi32_ps(ints[0]), _mm256_cvtepi32_ps(ints[1])] }
    }

    #[inline(always)]
    fn bytes<const WIDE: bool>(self, bytes: &[u8; 4 * LANES]) -> [__m256i; 2] {
        let start = bytes.as_ptr().cast::<__m256i>();
        unsafe { [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))] }
    }

    /// Pairs of products fit 16 bits where weights have at most 6 of them; wide ones are taken apart into even
    /// and odd bytes.
    #[inline(always)]
    fn dot<const WIDE: bool>(
        self,
        mut sums: [__m256i; 2],
        weights: [__m256i; 2],
        quad: i32,
    ) -> [__m256i; 2] {
        unsafe {
            let x = _mm256_set1_epi32(quad);
            for (sum, weights) in sums.iter_mut().zip(weights) {
                let products = if WIDE {
                    let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x));
                    let low = _mm256_and_si256(weights, _mm256_set1_epi16(255));
                    let odd = _mm256_srai_epi16::<8>(x);
                    let products = _mm256_madd_epi16(_mm256_srli_epi16::<8>(weights), odd);
                    _mm256_add_epi32(products, _mm256_madd_epi16(low, even))
                } else {
                    let pairs = _mm256_maddubs_epi16(weights, x);
                    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
                };
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
        sums
    }

    #[inline(always)]
    fn nibbles(self, bytes: [__m256i; 2]) -> [[__m256i; 2]; 2] {
        unsafe {
            let mask = _mm256_set1_epi8(15);
            let low = [_mm256_and_si256(bytes[0], mask), _mm256_and_si256(bytes[1], mask)];
            let high = [_mm256_srli_epi16::<4>(bytes[0]), _mm256_srli_epi16::<4>(bytes[1])];
            [low, [_mm256_and_si256(high[0], mask), _mm256_and_si256(high[1], mask)]]
        }
    }

    #[inline(always)]
    fn raise<const WIDTH: u32>(
        self,
        mut nibbles: [__m256i; 2],
        bits: [__m256i; 2],
        from: usize,
    ) -> [__m256i; 2] {
        unsafe {
            let mask = _mm256_set1_epi8((1 << WIDTH) - 1);
            for (nibbles, bits) in nibbles.iter_mut().zip(bits) {
                let bits = _mm256_srl_epi16(bits, _mm_cvtsi32_si128(from as i32));
                let bits = _mm256_slli_epi16::<4>(_mm256_and_si256(bits, mask));
                *nibbles = _mm256_or_si256(*nibbles, bits);
            }
        }
        nibbles
    }

    #[inline(always)]
    fn load_steps(self, steps: &[i8; LANES]) -> [__m256; 2] {
        unsafe {
            let steps = _mm_loadu_si128(steps.as_ptr().cast());
            let upper = _mm_unpackhi_epi64(steps, steps);
            [steps, upper].map(|half| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(half)))
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}
