//! Numbers and weights without a pattern for tests, the same in every run.

use crate::{Format, Rows};

/// A linear congruential generator.
pub(crate) struct Noise(pub(crate) u32);

impl Noise {
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// In -1..1.
    pub(crate) fn number(&mut self) -> f32 {
        self.bits() as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Numbers in -1..1.
pub(crate) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut noise = Noise(seed);
    (0..len).map(|_| noise.number()).collect()
}

/// A matrix of any format with weights of the order of 1.
pub(crate) fn rows(format: Format, rows: usize, cols: usize, seed: u32) -> Rows {
    let (_, block) = format.block();
    let mut noise = Noise(seed);
    let row_bytes = format.row_bytes(cols).unwrap();
    let mut bytes: Vec<u8> = (0..rows * row_bytes).map(|_| noise.bits() as u8).collect();
    for block in bytes.chunks_exact_mut(block) {
        let mut scale = |at: usize, size: f32| {
            let half = half::f16::from_f32(size * (1.1 + noise.number()));
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        };
        match format {
            Format::F32 | Format::Int4Wide { .. } | Format::Int8 { .. } => {
                let scale = 0.01 * noise.number();
                block[..4].copy_from_slice(&scale.to_le_bytes());
            }
            Format::F16 => scale(0, 0.5),
            Format::Bf16 => block[1] = block[1] & 0x80 | 0x3f,
            Format::Int4 { .. } | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => scale(0, 0.01),
            Format::Q4_1 | Format::Q5_1 => (scale(0, 0.01), scale(2, -0.1)).0,
            Format::Q4K | Format::Q5K => (scale(0, 0.001), scale(2, 0.001)).0,
            Format::Q6K => scale(208, 0.0005),
        }
        match format {
            Format::Int4 { .. } => block[2] &= 15,
            Format::Int4Wide { .. } => block[4] &= 15,
            _ => {}
        }
    }
    Rows::new(format, rows, cols, bytes).unwrap()
}
