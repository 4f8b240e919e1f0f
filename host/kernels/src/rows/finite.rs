//! Whether a row holds an infinity or a NaN. One such number turns every answer of a model into
//! nothing, so it is looked for while weights are loaded; blocks can hold it in their scales only.

use super::Format;

/// Whether every plain number, or every scale, of a packed row is finite.
pub(super) fn is_finite(format: Format, packed: &[u8]) -> bool {
    let (_, block) = format.block();
    let halves = |places: &[usize]| {
        let finite = |block: &[u8]| places.iter().all(|at| half(block[*at], block[at + 1]));
        packed.chunks_exact(block).all(finite)
    };
    match format {
        Format::F32 => all(packed.as_chunks().0, |bytes| f32::from_le_bytes(*bytes).is_finite()),
        Format::F16 => all(packed.as_chunks::<2>().0, |[low, high]| half(*low, *high)),
        Format::Bf16 => all(packed.as_chunks::<2>().0, |[low, high]| {
            u16::from_le_bytes([*low, *high]) & 0x7f80 != 0x7f80
        }),
        Format::Int4Wide { .. } | Format::Int8 { .. } => packed.chunks_exact(block).all(wide),
        Format::Int4 { .. } | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => halves(&[0]),
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => halves(&[0, 2]),
        Format::Q6K => halves(&[block - 2]),
    }
}

/// `all` without a way out in the middle of a chunk, so that it vectorises.
fn all<T>(numbers: &[T], is_finite: impl Fn(&T) -> bool) -> bool {
    const CHUNK: usize = 1024;
    let chunk = |numbers: &[T]| numbers.iter().fold(true, |all, number| all & is_finite(number));
    numbers.chunks(CHUNK).all(chunk)
}

fn half(low: u8, high: u8) -> bool {
    u16::from_le_bytes([low, high]) & 0x7c00 != 0x7c00
}

/// An f32 scale must leave its largest multiple finite, too.
fn wide(block: &[u8]) -> bool {
    const QUANT_MAX: f32 = 255.0;
    let scale = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    (scale * QUANT_MAX).is_finite()
}

#[cfg(test)]
mod tests {
    use crate::{Format, Rows};

    /// Any single byte that makes a weight infinite or NaN, in any place, is found, and no other.
    #[test]
    fn what_decodes_to_no_number_is_found_in_every_format() {
        for format in Format::SAMPLES {
            let (block, block_bytes) = format.block();
            let cols = block * 512usize.div_ceil(block);
            let row_bytes = format.row_bytes(cols).unwrap();
            for at in (0..row_bytes).filter(|at| at % block_bytes < 64 || at % block_bytes > 190) {
                let mut bytes = vec![0x11; 2 * row_bytes];
                // With the byte below, an infinity or a NaN in f16, in bf16 and in f32.
                bytes[row_bytes + at] = 0xff;
                if at > 0 {
                    bytes[row_bytes + at - 1] = 0xff;
                }
                let rows = Rows::new(*format, 2, cols, bytes).unwrap();
                let mut out = vec![0.0; cols];
                rows.decode(1, &mut out);
                let broken = out.iter().any(|weight| !weight.is_finite());
                let found = rows.first_not_finite();
                assert_eq!(found, broken.then_some(1), "{format}: byte {at}");
            }
        }
    }
}
