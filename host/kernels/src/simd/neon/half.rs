//! f16 to f32: the conversion is part of NEON, but its intrinsic is not stable yet.

use std::arch::{aarch64::*, asm};

/// Four f16, little-endian, as f32.
#[inline(always)]
pub(super) fn half(bytes: &[u8; 8]) -> float32x4_t {
    let out;
    // SAFETY: eight bytes, and NEON is part of aarch64.
    unsafe {
        asm!(
            "fcvtl {out:v}.4s, {halves:v}.4h",
            out = out(vreg) out,
            halves = in(vreg) vld1_u8(bytes.as_ptr()),
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    out
}
