//! One tensor of random numbers, of a size that leaves a signal about as large as it was.

use std::io::{self, Write};

use half::{bf16, f16};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

/// Numbers that are drawn for a tensor, and then repeated: drawing each of a billion takes minutes. A
/// prime, so that no row begins like the one before it.
const DRAWN: usize = 65_521;

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Four-bit weights, eight to a word.
    Words,
    /// Steps of four-bit weights, f16.
    Scales,
    /// f16 weights.
    Half,
    /// bf16 weights.
    Bfloat,
    /// Factors around one, f16 where `true`, otherwise bf16.
    Norm(bool),
}

/// A tensor that is not written yet.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    kind: Kind,
}

impl Tensor {
    pub(super) fn new(name: impl Into<String>, kind: Kind, shape: &[usize]) -> Self {
        Self { name: name.into(), kind, shape: shape.to_vec() }
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn bytes(&self) -> usize {
        self.elements() * if self.kind == Kind::Words { 4 } else { 2 }
    }

    /// In the words of safetensors.
    pub(super) fn dtype(&self) -> &'static str {
        match self.kind {
            Kind::Words => "I32",
            Kind::Scales | Kind::Half | Kind::Norm(true) => "F16",
            Kind::Bfloat | Kind::Norm(false) => "BF16",
        }
    }

    pub(super) fn write(&self, random: &mut ChaCha8Rng, file: &mut impl Write) -> io::Result<()> {
        let pattern = self.pattern(random);
        let mut left = self.bytes();
        while left > 0 {
            let now = left.min(pattern.len());
            file.write_all(&pattern[..now])?;
            left -= now;
        }
        Ok(())
    }

    fn pattern(&self, random: &mut ChaCha8Rng) -> Vec<u8> {
        if self.kind == Kind::Words {
            let mut bytes = vec![0; 4 * DRAWN];
            random.fill_bytes(&mut bytes);
            return bytes;
        }
        // Four-bit weights are up to 15 steps, and as many above zero as below.
        let inputs = self.shape.last().copied().unwrap_or(1) as f32;
        let range = match self.kind {
            Kind::Norm(_) => 0.9..1.1,
            Kind::Scales => 0.002..0.004,
            _ => -1.7 / inputs.sqrt()..1.7 / inputs.sqrt(),
        };
        let number = |_| {
            let number = random.random_range(range.clone());
            match self.dtype() {
                "BF16" => bf16::from_f32(number).to_le_bytes(),
                _ => f16::from_f32(number).to_le_bytes(),
            }
        };
        (0..DRAWN).flat_map(number).collect()
    }
}
