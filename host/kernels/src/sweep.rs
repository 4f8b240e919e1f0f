//! The inner loops: a panel of weights times the activations of some rows, in tiles that fit the registers.
//! [`scalar::sweep`] is what they all mean.
//!
//! For row `r` and weight row `n`, over the steps `t` of 32 inputs of the panel and the parts `s` of each that
//! share a factor: `out[r][n] += Σ_t scale[r][t] * Σ_s (factor[s][n] * Σ q * x - minimum[s][n] * Σ x)`, where `q`
//! and `x` are integers and their sums exact; or `(q - zero)` for `q` where the panel has no minima. Where
//! all steps of a block share a factor, they are summed up before they meet it.
//!
//! A *stream* is the same for a few rows and weights that are still packed.

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
pub(crate) mod numbers;
pub(crate) mod outliers;
#[cfg(target_arch = "aarch64")]
mod pairs;
pub(crate) mod scalar;
pub(crate) mod stream;
pub(crate) mod tile;
