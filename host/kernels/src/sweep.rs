//! The inner loops: a panel of weights times the activations of some rows. One function per
//! instruction set; [`scalar::sweep`] is what they all mean.
//!
//! For row `r` and weight row `n`, over the blocks `b` of the panel and the parts `s` that share a scale:
//! `out[r][n] += Σ_b scale[r][b] * Σ_s (factor[b][s][n] * Σ q * x - minimum[b][s][n] * Σ x)`, where `q` and `x`
//! are integers and their sums exact; or `(q - zero)` for `q` where the panel has no minima.
//!
//! A *stream* is the same for a few rows and weights that are still packed.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod scalar;
