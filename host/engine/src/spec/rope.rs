//! Rotary embeddings as configurations describe them: theta, the part of a head that rotates, and the
//! ways of stretching them over longer contexts. Frequencies are rounded as transformers rounds them, for
//! at position 100 000 the last bit of a frequency is a visible angle.

use signalbox_kernels::RopeLayout;

use super::bounds::CONTEXT_MAX;
use crate::files::{CheckpointError, Config};

/// The base of frequencies where a configuration is silent.
pub(super) const THETA: f64 = 1e4;
const FACTOR_MAX: f64 = 1e6;
/// The context a model was first trained on.
const ORIGINAL: &str = "original_max_position_embeddings";

/// One rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rope {
    /// Which elements rotate together.
    pub(crate) layout: RopeLayout,
    /// Radians per position, one for each rotated pair.
    frequencies: Vec<f32>,
    /// The frequencies of sequences that outgrow the context the model was first trained on.
    long: Option<LongRope>,
    /// Multiplies sine and cosine, in both regimes.
    amplitude: f32,
}

/// The second regime of longrope (Ding et al., 2024, arXiv 2402.13753).
#[derive(Debug, Clone, PartialEq)]
struct LongRope {
    frequencies: Vec<f32>,
    /// Tokens of the longest sequence in the short regime.
    beyond: usize,
}

impl Rope {
    /// Without any stretching, over a whole head.
    pub(super) fn plain(theta: f64, head_dim: usize) -> Self {
        let frequencies = frequencies(theta, head_dim / 2 * 2, |_| 1.0);
        Self { layout: RopeLayout::Halves, frequencies, long: None, amplitude: 1.0 }
    }

    /// Reads `rope_parameters` (transformers 5; `kind` picks the section of a kind of layer), or
    /// `rope_theta` and `rope_scaling` (transformers 4).
    pub(super) fn read(
        config: &Config,
        head_dim: usize,
        kind: Option<&str>,
        theta: f64,
    ) -> Result<Self, CheckpointError> {
        let scaling = match config.section("rope_parameters")? {
            Some(all) => match kind.map(|kind| all.section(kind)).transpose()?.flatten() {
                Some(section) => section,
                None => all,
            },
            None => config.section("rope_scaling")?.unwrap_or_else(|| config.empty()),
        };
        let either = |key: &str, range: std::ops::RangeInclusive<f64>, default: f64| {
            let there = scaling.float_opt(key, range.clone())?;
            there.map_or_else(|| config.float_or(key, range, default), Ok)
        };
        let theta = either("rope_theta", 1.0..=1e12, theta)?;
        let rotated = (head_dim as f64 * either("partial_rotary_factor", 0.0..=1.0, 1.0)?) as usize;
        let kind = match scaling.text_opt("rope_type")? {
            Some(kind) => Some(kind),
            None => scaling.text_opt("type")?,
        };
        let plain = Self::plain(theta, rotated);
        refuse_amplitude(config, &scaling, kind)?;
        match kind.unwrap_or("default") {
            "default" => Ok(plain),
            "linear" => {
                let factor = scaling.float_or("factor", 1.0..=FACTOR_MAX, 1.0)? as f32;
                Ok(plain.divided_by(&vec![factor; rotated / 2]))
            }
            "llama3" => plain.llama3(config, &scaling),
            "longrope" | "su" => Self::longrope(config, &scaling, theta, rotated),
            other => Err(config.unsupported(
                format!("the rotary scaling '{other}' is not supported"),
                "use default, linear, llama3 or longrope; or remove the scaling and stay within \
                 the original context",
            )),
        }
    }

    /// Slows every pair down by its own factor; missing factors count as one.
    pub(super) fn divided_by(mut self, factors: &[f32]) -> Self {
        self.frequencies.iter_mut().zip(factors).for_each(|(freq, factor)| *freq /= factor);
        self
    }

    /// Llama 3.1: slow pairs are stretched, fast ones are left, those between are blended.
    fn llama3(mut self, config: &Config, scaling: &Config) -> Result<Self, CheckpointError> {
        let factor = scaling.float_or("factor", 1.0..=FACTOR_MAX, 8.0)? as f32;
        let low = scaling.float_or("low_freq_factor", 1e-3..=1e3, 1.0)? as f32;
        let high = scaling.float_or("high_freq_factor", 1e-3..=1e3, 4.0)? as f32;
        let original = match scaling.count_opt(ORIGINAL, 1..=CONTEXT_MAX)? {
            Some(original) => original,
            None => config.count("max_position_embeddings", 1..=CONTEXT_MAX)?,
        } as f32;
        for frequency in &mut self.frequencies {
            let turns = original * *frequency / std::f32::consts::TAU;
            let kept =
                if high > low { ((turns - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
            *frequency = (1.0 - kept) * *frequency / factor + kept * *frequency;
        }
        Ok(self)
    }

    fn longrope(
        config: &Config,
        scaling: &Config,
        theta: f64,
        rotated: usize,
    ) -> Result<Self, CheckpointError> {
        /// What `Phi3Config` takes when nothing names the original context.
        const ORIGINAL_OF_PHI3: usize = 4096;
        let context = config.count("max_position_embeddings", 1..=CONTEXT_MAX)?;
        // The key outside of the section comes first, as it does in transformers.
        let original = match config.count_opt(ORIGINAL, 2..=CONTEXT_MAX)? {
            Some(original) => original,
            None => scaling.count_opt(ORIGINAL, 2..=CONTEXT_MAX)?.unwrap_or(ORIGINAL_OF_PHI3),
        };
        let factors = |key| scaling.floats(key, rotated / 2, 1e-3..=FACTOR_MAX);
        let (short, long) = (factors("short_factor")?, factors("long_factor")?);
        let stretch =
            scaling.float_or("factor", 1e-3..=FACTOR_MAX, context as f64 / original as f64)?;
        let amplitude = (1.0 + stretch.ln() / (original as f64).ln()).sqrt();
        let amplitude = if stretch <= 1.0 { 1.0 } else { amplitude };
        Ok(Self {
            layout: RopeLayout::Halves,
            frequencies: frequencies(theta, rotated, |pair| short[pair]),
            long: Some(LongRope {
                frequencies: frequencies(theta, rotated, |pair| long[pair]),
                beyond: original,
            }),
            amplitude: scaling.float_or("attention_factor", 1e-3..=1e3, amplitude)? as f32,
        })
    }

    /// Whether a sequence of `tokens` belongs to the long regime.
    pub(super) fn is_long(&self, tokens: usize) -> bool {
        self.long.as_ref().is_some_and(|long| tokens > long.beyond)
    }

    /// Cosines and sines of one position, one for each rotated pair.
    pub(crate) fn angles(&self, position: usize, long: bool) -> (Vec<f32>, Vec<f32>) {
        let frequencies = match &self.long {
            Some(regime) if long => &regime.frequencies,
            _ => &self.frequencies,
        };
        let angle = |frequency: &f32| (position as f32 * frequency).sin_cos();
        let scaled = |(sin, cos): (f32, f32)| (cos * self.amplitude, sin * self.amplitude);
        frequencies.iter().map(angle).map(scaled).unzip()
    }
}

/// Only longrope scales sine and cosine; where another kind asks for it, it is not passed over.
fn refuse_amplitude(
    config: &Config,
    scaling: &Config,
    kind: Option<&str>,
) -> Result<(), CheckpointError> {
    match scaling.float_opt("attention_factor", 0.0..=1e3)? {
        Some(factor) if factor != 1.0 && !matches!(kind, Some("longrope" | "su")) => {
            let problem = format!("the rotary 'attention_factor' is {factor} without longrope");
            Err(config.unsupported(problem, "use the model that it was made of"))
        }
        _ => Ok(()),
    }
}

/// `1 / (factor * theta^(2i / rotated))` for every pair `i`.
fn frequencies(theta: f64, rotated: usize, factor: impl Fn(usize) -> f32) -> Vec<f32> {
    let frequency = |pair: usize| {
        let exponent = (2 * pair) as f32 / rotated as f32;
        1.0 / (factor(pair) * theta.powf(f64::from(exponent)) as f32)
    };
    (0..rotated / 2).map(frequency).collect()
}
