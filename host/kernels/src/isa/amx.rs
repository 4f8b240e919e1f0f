//! Whether this process may use the tiles of AMX. It is not enough that the processor has them: the system has to save
//! them between threads, and Linux does so for a process that has asked. The answer holds for all of its threads.
#![expect(unsafe_code, reason = "asks the processor and the system")]

use std::sync::LazyLock;

/// Whether there are tiles with products of bytes, and the system allows them.
pub(super) fn is_usable() -> bool {
    static USABLE: LazyLock<bool> =
        LazyLock::new(|| is_listed() && system::saves() && system::grants());
    *USABLE
}

/// AMX-TILE and AMX-INT8: bits 24 and 25 of the extended features.
fn is_listed() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const BOTH: u32 = 1 << 24 | 1 << 25;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BOTH == BOTH
}

#[cfg(target_os = "linux")]
mod system {
    use std::arch::asm;

    /// The tiles' bit among the states of a processor.
    const TILE_DATA: u64 = 18;

    /// Whether the system has enabled both states of tiles, their shapes and what is in them.
    pub(super) fn saves() -> bool {
        #[target_feature(enable = "xsave")]
        fn enabled() -> u64 {
            // SAFETY: the caller has found the instruction enabled, and the register exists wherever it is.
            unsafe { std::arch::x86_64::_xgetbv(0) }
        }
        const BOTH: u64 = 0b11 << (TILE_DATA - 1);
        // SAFETY: found on the line before.
        is_x86_feature_detected!("xsave") && unsafe { enabled() } & BOTH == BOTH
    }

    /// Asks for the use of tiles. Refused where the system is too old, or where a thread's stack for signals has no
    /// room for them.
    pub(super) fn grants() -> bool {
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
        let mut result = ARCH_PRCTL;
        // SAFETY: a system call that reads two numbers and writes no memory; it changes the registers named here.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn saves() -> bool {
        false
    }

    pub(super) fn grants() -> bool {
        false
    }
}
