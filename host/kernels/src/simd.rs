//! Registers of 16 numbers, whatever the width that the machine gives them. Loops over them are written
//! once, generic in [`Simd`], inlined as a whole into a function compiled for the instructions, and so
//! form their sums in the same order everywhere.
//!
//! A value of an implementing type says that the machine has the instructions: only the functions of
//! the table make one. So all that takes one is safe.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;

use crate::packed::{Layout, Panel, expand_head};

/// Numbers of a register.
pub(crate) const LANES: usize = 16;

/// What loops need of an instruction set.
pub(crate) trait Simd: Copy {
    /// Rows of activations whose sums over a strip of weights fit the registers.
    const TILE: usize;
    /// Rows of activations that meet weights as they come from memory.
    const STREAM: usize;
    /// Whether 24 registers of 16 sums, and what is added to them, fit.
    const WIDE: bool;
    /// Whether integer products take weights as signed: then those of 8 bits are 128 less in
    /// [`Self::bytes`].
    const SIGNED: bool;

    /// 16 f32.
    type Floats: Copy;
    /// 16 i32.
    type Ints: Copy;
    /// 64 bytes.
    type Bytes: Copy;

    /// The same number 16 times.
    fn splat(self, number: f32) -> Self::Floats;
    /// 16 numbers from memory.
    fn load(self, numbers: &[f32; LANES]) -> Self::Floats;
    /// 16 f16 from memory, little-endian.
    fn load_half(self, bytes: &[u8; 2 * LANES]) -> Self::Floats;
    /// 16 bf16 from memory, little-endian.
    fn load_brain(self, bytes: &[u8; 2 * LANES]) -> Self::Floats;
    /// 16 numbers to memory.
    fn store(self, numbers: Self::Floats, out: &mut [f32; LANES]);
    /// `a + b`
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b`
    fn multiply(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once.
    fn multiply_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `c - a * b`, rounded once.
    fn multiply_subtract(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// The same integer 16 times.
    fn splat_int(self, number: i32) -> Self::Ints;
    /// `a + b`, wrapping.
    fn add_ints(self, a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// The nearest numbers.
    fn to_floats(self, ints: Self::Ints) -> Self::Floats;

    /// 64 unsigned weights from memory; `WIDE` where they may be above 127.
    fn bytes<const WIDE: bool>(self, bytes: &[u8; 4 * LANES]) -> Self::Bytes;
    /// Adds to each sum the products of its four weights with the four signed bytes of `quad`.
    fn dot<const WIDE: bool>(self, sums: Self::Ints, weights: Self::Bytes, quad: i32)
    -> Self::Ints;
    /// The low and the high nibbles of 64 bytes.
    fn nibbles(self, bytes: Self::Bytes) -> [Self::Bytes; 2];
    /// `nibbles` with `WIDTH` bits of `bits`, from bit `from`, above them.
    fn raise<const WIDTH: u32>(
        self,
        nibbles: Self::Bytes,
        bits: Self::Bytes,
        from: usize,
    ) -> Self::Bytes;

    /// 16 signed bytes from memory.
    fn load_steps(self, steps: &[i8; LANES]) -> Self::Floats;

    /// Asks for the line of memory at `address`, which need not be valid.
    fn prefetch(self, address: *const u8);
    /// Writes the scales and minima of a unit that begins `depth` inputs into the panel.
    #[inline(always)]
    fn open(self, layout: Layout, head: &[u8], depth: usize, panel: &mut Panel) {
        expand_head(layout, head, depth, panel);
    }
}
