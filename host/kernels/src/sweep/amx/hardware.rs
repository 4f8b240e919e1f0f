//! The tiles of this machine. Rust has no stable intrinsics for them, and no code but this names them, so they
//! keep what is in them from one instruction to the next.

use std::arch::asm;

use super::tiles::{Shapes, Tiles};

/// Exists where AMX-TILE and AMX-INT8 do and this process may use them. What a thread has shaped is released
/// when it ends, or each switch to another thread would carry 8 KiB.
#[derive(Debug)]
pub(crate) struct Hardware(());

impl Hardware {
    /// # Safety
    /// [`crate::Isa::AmxInt8`] is available, and this thread has no other.
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

impl Drop for Hardware {
    fn drop(&mut self) {
        // SAFETY: `self` exists where the instruction does.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) }
    }
}

// SAFETY of all blocks below: `self` exists where the instructions do, and memory is what callers promise. None
// is `nomem`: so they stay in order, and behind the stores of what they read.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, given above")]
impl Tiles for Hardware {
    #[inline(always)]
    fn shape(&mut self, shapes: &'static Shapes) {
        unsafe {
            asm!("ldtilecfg [{shapes}]", shapes = in(reg) shapes, options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn zero<const TILE: usize>(&mut self) {
        unsafe { asm!("tilezero tmm{tile}", tile = const TILE, options(nostack, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn load<const TILE: usize>(&mut self, from: *const u8, stride: usize) {
        unsafe {
            asm!(
                "tileloadd tmm{tile}, [{from} + {stride}*1]",
                tile = const TILE,
                from = in(reg) from,
                stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const TILE: usize>(&mut self, to: *mut u8, stride: usize) {
        unsafe {
            asm!(
                "tilestored [{to} + {stride}*1], tmm{tile}",
                tile = const TILE,
                to = in(reg) to,
                stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    fn multiply<const SUMS: usize, const A: usize, const B: usize, const SIGNED: bool>(&mut self) {
        /// With the instruction's name.
        macro_rules! multiply {
            ($name:literal) => {
                asm!(
                    concat!($name, " tmm{sums}, tmm{a}, tmm{b}"),
                    sums = const SUMS,
                    a = const A,
                    b = const B,
                    options(nostack, preserves_flags),
                )
            };
        }
        unsafe { if SIGNED { multiply!("tdpbssd") } else { multiply!("tdpbsud") } }
    }
}
