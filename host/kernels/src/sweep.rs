//! The inner loops: a panel of weights times the activations of some rows, in tiles that fit the registers.
//! [`scalar::sweep`] is what they all mean.
//!
//! For row `r` and weight row `n`, over the blocks `b` of the panel and the parts `s` that share a scale:
//! `out[r][n] += Σ_b scale[r][b] * Σ_s (factor[b][s][n] * Σ q * x - minimum[b][s][n] * Σ x)`, where `q` and `x`
//! are integers and their sums exact; or `(q - zero)` for `q` where the panel has no minima.
//!
//! A *stream* is the same for a few rows and weights that are still packed.

#[cfg(target_arch = "aarch64")]
pub(crate) mod i8mm;
pub(crate) mod numbers;
pub(crate) mod scalar;
pub(crate) mod stream;
pub(crate) mod tile;
