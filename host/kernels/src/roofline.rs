//! What this machine allows at all: how fast its cores read memory together, and how many operations on
//! bytes they do. The denominators of every claim about speed (Williams et al., "Roofline", 2009).

use std::{hint::black_box, time::Instant};

use crate::{Compute, Isa};

/// Many times what the caches of a server hold.
const BUFFER_BYTES: usize = 1 << 30;
/// Passes over it. The fastest counts: others were disturbed.
const PASSES: usize = 5;
/// Rounds of the int8 loop in one measurement: some tenths of a second.
const ROUNDS: usize = 1 << 22;

/// Bytes per second that all threads read together, in order.
pub fn read_bandwidth(compute: &Compute) -> f64 {
    let buffer = vec![1u64; BUFFER_BYTES / size_of::<u64>()];
    let share = buffer.len().div_ceil(compute.threads());
    let ranges: Vec<_> = (0..buffer.len())
        .step_by(share)
        .map(|start| start..(start + share).min(buffer.len()))
        .collect();
    let pass = || {
        let began = Instant::now();
        black_box(compute.spread(&ranges, |range| sum(&buffer[range])));
        BUFFER_BYTES as f64 / began.elapsed().as_secs_f64()
    };
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}

/// Sixteen sums, so that no addition waits for the one before it.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    for words in words.as_chunks::<16>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

/// Operations per second (a multiplication and an addition are two) of all threads together, on products
/// of bytes that never leave the registers, with the instructions in use.
pub fn int8_peak(compute: &Compute) -> f64 {
    let threads = compute.threads();
    let ranges: Vec<_> = (0..threads).map(|thread| thread..thread + 1).collect();
    let pass = || {
        let began = Instant::now();
        let operations: u64 =
            compute.spread(&ranges, |_| multiply(compute.isa(), ROUNDS)).iter().sum();
        operations as f64 / began.elapsed().as_secs_f64()
    };
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}

/// Registers of sums: more than the pipes times their latency.
const SUMS: usize = 16;

/// Does `rounds` rounds on this thread and says how many operations they were.
fn multiply(isa: Isa, rounds: usize) -> u64 {
    let multiplications = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86_64::avx2(rounds),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => x86_64::avx512_vnni(rounds),
        #[cfg(target_arch = "x86_64")]
        Isa::AmxInt8 => x86_64::amx_int8(rounds),
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDotprod => aarch64::dotprod(rounds),
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm | Isa::NeonBf16 => aarch64::i8mm(rounds),
        _ => plain(rounds / 64),
    };
    2 * multiplications
}

fn plain(rounds: usize) -> u64 {
    let (a, b) = (black_box([3i8; SUMS]), black_box([5i8; SUMS]));
    let mut sums = [0i32; SUMS];
    for _ in 0..rounds {
        let (a, b) = (black_box(a), black_box(b));
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(&b)) {
            *sum = sum.wrapping_add(i32::from(*a) * i32::from(*b));
        }
    }
    black_box(sums);
    (rounds * SUMS) as u64
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls functions compiled for optional instructions")]
mod x86_64 {
    use std::{arch::x86_64::*, hint::black_box};

    use super::SUMS;
    use crate::sweep::amx::{Hardware, Shapes, Tiles};

    /// Four tiles of sums hide the latency of a product: it is less than four of them take.
    pub(super) fn amx_int8(rounds: usize) -> u64 {
        let rounds = rounds.div_ceil(64);
        // SAFETY: as below, and nothing else on this thread has tiles.
        let mut tiles = unsafe { Hardware::new() };
        tiles.shape(&Shapes::FULL);
        for _ in 0..rounds {
            tiles.multiply::<0, 4, 6, true>();
            tiles.multiply::<1, 4, 7, true>();
            tiles.multiply::<2, 5, 6, true>();
            tiles.multiply::<3, 5, 7, true>();
        }
        (rounds * 4 * 16 * 16 * 64) as u64
    }

    pub(super) fn avx512_vnni(rounds: usize) -> u64 {
        #[target_feature(enable = "avx512f,avx512vnni")]
        fn run(rounds: usize) -> i32 {
            let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)));
            let mut sums = [_mm512_setzero_si512(); SUMS];
            for _ in 0..rounds {
                for sum in &mut sums {
                    *sum = _mm512_dpbusd_epi32(*sum, a, b);
                }
            }
            sums.into_iter().fold(0, |all, sum| all ^ _mm512_reduce_add_epi32(sum))
        }
        // SAFETY: `Compute` has this row only where its instructions were found.
        black_box(unsafe { run(rounds) });
        (rounds * SUMS * 64) as u64
    }

    /// Eight products are summed up in 16 bits, as the sweep does it with weights of four bits.
    pub(super) fn avx2(rounds: usize) -> u64 {
        const WEIGHTS: usize = 8;
        const ROWS: usize = 4;
        #[target_feature(enable = "avx2")]
        fn run(rounds: usize) -> i32 {
            let weights = black_box([_mm256_set1_epi8(3); WEIGHTS]);
            let ones = black_box(_mm256_set1_epi16(1));
            let mut sum = _mm256_setzero_si256();
            for _ in 0..rounds {
                for x in black_box([5; ROWS]) {
                    let mut shorts = _mm256_setzero_si256();
                    for weights in &weights {
                        let products = _mm256_maddubs_epi16(*weights, _mm256_set1_epi32(x));
                        shorts = _mm256_add_epi16(shorts, products);
                    }
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(shorts, ones));
                }
            }
            _mm256_extract_epi32::<0>(sum)
        }
        let rounds = rounds.div_ceil(2);
        // SAFETY: as above.
        black_box(unsafe { run(rounds) });
        (rounds * ROWS * WEIGHTS * 32) as u64
    }
}

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "instructions for which Rust has no stable intrinsics")]
mod aarch64 {
    use std::{arch::aarch64::*, arch::asm, hint::black_box};

    use super::SUMS;

    /// A loop of one instruction that does `$multiplications`, named for the assembler by its extension.
    macro_rules! instruction {
        ($name:ident, $extension:literal, $operation:literal, $multiplications:literal) => {
            pub(super) fn $name(rounds: usize) -> u64 {
                let (a, b) = (black_box(3i8), black_box(5i8));
                // SAFETY: the operation reads and writes registers alone, and `Compute` has its row only where
                // it was found; the rest is baseline.
                unsafe {
                    let (a, b) = (vdupq_n_s8(a), vdupq_n_s8(b));
                    let mut sums = [vdupq_n_s32(0); SUMS];
                    for _ in 0..rounds {
                        for sum in &mut sums {
                            asm!(concat!(".arch_extension ", $extension),
                                concat!($operation, " {sum:v}.4s, {a:v}.16b, {b:v}.16b"),
                                sum = inout(vreg) *sum, a = in(vreg) a, b = in(vreg) b,
                                options(pure, nomem, nostack, preserves_flags));
                        }
                    }
                    black_box(sums);
                }
                (rounds * SUMS * $multiplications) as u64
            }
        };
    }

    instruction!(dotprod, "dotprod", "sdot", 16);
    instruction!(i8mm, "i8mm", "smmla", 32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_counts_its_operations() {
        for isa in Isa::available() {
            assert!(multiply(isa, 64) > 0, "{isa}");
        }
        assert_eq!(sum(&[2; 32]), 64);
    }
}
