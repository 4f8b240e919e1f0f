//! The inner loops: a panel of weights times the activations of some rows, in tiles that fit the registers.
//! [`scalar::sweep`] is what they all mean.
//!
//! For row `r` and weight row `n`, over the steps `t` of 32 inputs of the panel and the parts `s` of each that
//! share a factor: `out[r][n] += Σ_t scale[r][t] * Σ_s (factor[s][n] * Σ q * x - minimum[s][n] * Σ x)`, where `q`
//! and `x` are integers and their sums exact; or `(q - zero)` for `q` where the panel has no minima. Where
//! all steps of a block share a factor, they are summed up before they meet it.
//!
//! A *stream* is the same for a few rows and weights that are still packed.
//!
//! What Arm's would reach on Neoverse V2 by llvm-mca 19, printed by `host/kernels/loops` on 2026-11-26, everything
//! counted in but caches: the share of the peak of SMMLA (BFMMLA for bf16) at 512 rows, and the packed bytes that
//! one row takes a cycle. Between them the turns of the innermost loop by themselves, now and before that day.
//!
//! | form | 512 rows | its loop | that loop before | one row |
//! |---|---|---|---|---|
//! | int4 g128 | 41 % | 66 % | 39 % | 9.9 |
//! | int8 g128 | 40 % | 66 % | 39 % | 17.4 |
//! | q4_0, q5_0, q8_0 | 39 % | 57 % | 37 % | 9.9, 7.7, 17.1 |
//! | q4_1, q5_1 | 34 % | 50 % | 31 % | 7.9, 6.6 |
//! | q4_k, q5_k | 34 % | 50 % | 31 % | 7.4, 6.4 |
//! | q6_k | 30 % | 40 % | 22 % | 7.6 |
//! | bf16 | 78 % | 99 % | none | 13.3 |
//!
//! These turns are as short as four pipes allow: every 32 inputs activations have another scale, and to every four
//! SMMLA come a subtraction and one to three multiplications. One scale for 128 inputs would allow three quarters
//! of the peak and more; normally distributed activations would then lose almost all that
//! [`Rounding::Coarse`](crate::Rounding::Coarse) allows, others be rounded twice more often.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "aarch64")]
pub(crate) mod bfmmla;
#[cfg(test)]
pub(crate) mod brains;
#[cfg(target_arch = "aarch64")]
pub(crate) mod dotprod;
#[cfg(target_arch = "aarch64")]
pub(crate) mod i8mm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod maddubs;
pub(crate) mod numbers;
pub(crate) mod outliers;
#[cfg(target_arch = "aarch64")]
mod pairs;
pub(crate) mod scalar;
pub(crate) mod stream;
pub(crate) mod tile;
