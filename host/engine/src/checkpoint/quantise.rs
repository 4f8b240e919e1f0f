//! Quantising plain weights while they are loaded, row by row, so that the plain ones are never in
//! memory. Scales are what rounding to the nearest needs and nothing is searched: a checkpoint that was
//! calibrated is better, and this one is there at once.

use signalbox_kernels::Format;

use crate::settings::Bits;

/// Weights that share a scale, at most.
const GROUP_MAX: usize = 128;
/// In smaller groups scales take so much room that nothing is gained.
const GROUP_MIN: usize = 16;

/// How rows of `cols` weights are packed; `None` where no group divides them.
pub(super) fn format(bits: Bits, cols: usize) -> Option<Format> {
    let group = (GROUP_MIN..=GROUP_MAX).rev().step_by(2).find(|group| cols.is_multiple_of(*group));
    match bits {
        Bits::Four => group.map(|group| Format::Int4 { group }),
        Bits::Eight if cols.is_multiple_of(32) => Some(Format::Q8_0),
        Bits::Eight => group.map(|group| Format::Int8 { group }),
    }
}

/// Appends `row`, packed as [`format`] said.
pub(super) fn push_row(format: Format, row: &[f32], packed: &mut Vec<u8>) {
    let (group, _) = format.block();
    for weights in row.chunks_exact(group) {
        match format {
            Format::Int4 { .. } => push_int4(weights, packed),
            Format::Q8_0 => push_q8_0(weights, packed),
            _ => push_int8(weights, packed),
        }
    }
}

/// The range from the least weight to the largest, zero within it, in 15 steps.
fn push_int4(weights: &[f32], packed: &mut Vec<u8>) {
    const STEPS: f32 = 15.0;
    let (low, high) =
        weights.iter().fold((0f32, 0f32), |(low, high), w| (low.min(*w), high.max(*w)));
    let scale = half::f16::from_f32((high - low) / STEPS);
    let step = scale.to_f32();
    let zero = (-low / step).round().clamp(0.0, STEPS); // NaN, and so 0 below, where all are zero
    let quant = |weight: f32| ((weight / step).round() + zero).clamp(0.0, STEPS) as u8;
    packed.extend(scale.to_le_bytes());
    packed.push(zero as u8);
    let (first, second) = weights.split_at(weights.len() / 2);
    packed.extend(first.iter().zip(second).map(|(low, high)| quant(*low) | quant(*high) << 4));
}

fn push_q8_0(weights: &[f32], packed: &mut Vec<u8>) {
    let scale = half::f16::from_f32(largest(weights) / f32::from(i8::MAX));
    packed.extend(scale.to_le_bytes());
    packed.extend(weights.iter().map(|weight| signed(*weight, scale.to_f32()) as u8));
}

fn push_int8(weights: &[f32], packed: &mut Vec<u8>) {
    const ZERO: u8 = 128;
    let scale = largest(weights) / f32::from(i8::MAX);
    packed.extend(scale.to_le_bytes());
    packed.push(ZERO);
    packed.extend(weights.iter().map(|weight| ZERO.wrapping_add_signed(signed(*weight, scale))));
}

fn largest(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |largest, weight| largest.max(weight.abs()))
}

fn signed(weight: f32, scale: f32) -> i8 {
    let most = f32::from(i8::MAX);
    (weight / scale).round().clamp(-most, most) as i8
}

#[cfg(test)]
mod tests {
    use signalbox_kernels::Rows;

    use super::*;

    fn wave(len: usize, size: f32) -> Vec<f32> {
        (0..len).map(|i| ((i * i) as f32 * 0.37).sin() * size).collect()
    }

    fn decoded(format: Format, row: &[f32]) -> Vec<f32> {
        let mut packed = Vec::new();
        push_row(format, row, &mut packed);
        let mut out = vec![0.0; row.len()];
        Rows::new(format, 1, row.len(), packed).unwrap().decode(0, &mut out);
        out
    }

    #[test]
    fn groups_are_as_large_as_the_columns_allow() {
        let four = |cols| format(Bits::Four, cols).map(|format| format.block().0);
        assert_eq!([four(256), four(576), four(96), four(48)], [128, 96, 96, 48].map(Some));
        assert_eq!([four(15), four(17), four(2 * 127)], [None, None, None]);
        assert_eq!(format(Bits::Eight, 64), Some(Format::Q8_0));
        assert_eq!(format(Bits::Eight, 48), Some(Format::Int8 { group: 48 }));
    }

    /// No weight is further from where it was than half a step, and what f16 takes from the scale.
    #[test]
    fn weights_move_by_half_a_step_at_most() {
        for size in [1e-3, 1.0, 300.0] {
            for (format, steps) in [
                (Format::Int4 { group: 64 }, 15.0),
                (Format::Q8_0, 254.0),
                (Format::Int8 { group: 64 }, 254.0),
            ] {
                let row = wave(128, size);
                let step = 2.0 * size / steps;
                for (was, is) in row.iter().zip(decoded(format, &row)) {
                    let moved = (was - is).abs();
                    assert!(moved <= 0.51 * step + 1e-3 * size, "{format}: {was} became {is}");
                }
            }
        }
    }

    #[test]
    fn one_sided_and_empty_groups_are_kept() {
        for format in [Format::Int4 { group: 32 }, Format::Q8_0, Format::Int8 { group: 32 }] {
            assert_eq!(decoded(format, &[0.0; 32]), [0.0; 32], "{format}");
            let high = decoded(format, &[3.0; 32]);
            assert!(high.iter().all(|weight| (weight - 3.0).abs() < 0.01), "{format}: {high:?}");
            let low = decoded(format, &[-3.0; 32]);
            assert!(low.iter().all(|weight| (weight + 3.0).abs() < 0.01), "{format}: {low:?}");
        }
    }
}
