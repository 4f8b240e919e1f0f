//! AWQ as AutoAWQ's "gemm" version stores it, turned into rows the kernels read.
//!
//! The file is input-major: a word of `qweight` holds the same input of eight neighbouring outputs, its
//! nibbles in the order below. In memory an output's weights lie together, group by group, each
//! group behind its scale and zero point ([`Format::Int4`]). No number changes.

use std::ops::Range;

use signalbox_kernels::Format;

/// Outputs of a word.
const LANES: usize = 8;
/// Where in a word the nibble of each of its eight outputs begins; the inverse of AutoAWQ's order
/// 0, 2, 4, 6, 1, 3, 5, 7.
const SHIFTS: [u32; LANES] = [0, 16, 4, 20, 8, 24, 12, 28];

/// The three tensors of a linear with `rows` outputs and `cols` inputs, lengths checked.
pub(super) struct Linear<'a> {
    /// `(cols, rows / 8)` words.
    pub(super) qweight: &'a [u8],
    /// `(cols / group, rows / 8)` words.
    pub(super) qzeros: &'a [u8],
    /// `(cols / group, rows)` f16.
    pub(super) scales: &'a [u8],
    /// Outputs.
    pub(super) rows: usize,
    /// Inputs.
    pub(super) cols: usize,
    /// Inputs that share a scale.
    pub(super) group: usize,
}

impl Linear<'_> {
    /// Packs some of the outputs.
    pub(super) fn pack(&self, rows: Range<usize>) -> Vec<u8> {
        let block = Format::Int4 { group: self.group }.block().1;
        let row_bytes = self.cols / self.group * block;
        let mut packed = vec![0; rows.len() * row_bytes];
        // Eight rows are filled at once where the range allows, for a word holds eight.
        let mut row = rows.start;
        let mut rest = packed.as_mut_slice();
        while row < rows.end {
            let lanes = row % LANES..(rows.end - row / LANES * LANES).min(LANES);
            let (these, others) = rest.split_at_mut(lanes.len() * row_bytes);
            self.pack_word(row / LANES, lanes.clone(), block, these);
            rest = others;
            row += lanes.len();
        }
        packed
    }

    /// Packs the outputs `lanes` of one column of words; `packed` holds their rows.
    fn pack_word(&self, word: usize, lanes: Range<usize>, block: usize, packed: &mut [u8]) {
        let (words, half) = (self.rows / LANES, self.group / 2);
        let header = block - half;
        let row_bytes = packed.len() / lanes.len();
        let rows = packed.chunks_exact_mut(row_bytes).zip(lanes);
        for (packed, lane) in rows {
            for (group, packed) in packed.chunks_exact_mut(block).enumerate() {
                let scale = 2 * (group * self.rows + word * LANES + lane);
                packed[..2].copy_from_slice(&self.scales[scale..scale + 2]);
                packed[2] = nibble(self.qzeros, group * words + word, lane);
                let first = group * self.group;
                for (input, byte) in packed[header..].iter_mut().enumerate() {
                    let low = nibble(self.qweight, (first + input) * words + word, lane);
                    let high = nibble(self.qweight, (first + input + half) * words + word, lane);
                    *byte = low | high << 4;
                }
            }
        }
    }
}

fn nibble(words: &[u8], word: usize, lane: usize) -> u8 {
    let bytes = &words[4 * word..4 * word + 4];
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (word >> SHIFTS[lane] & 15) as u8
}

#[cfg(test)]
mod tests {
    use signalbox_kernels::Rows;

    use super::*;

    const ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
    const ROWS: usize = 16;
    const COLS: usize = 8;
    const GROUP: usize = 4;

    fn quant(row: usize, col: usize) -> u32 {
        ((row * 7 + col * 3) % 16) as u32
    }

    fn zero(row: usize, group: usize) -> u32 {
        ((row + group * 5) % 16) as u32
    }

    /// Packs as AutoAWQ does: nibble `i` of a word is of output `ORDER[i]`.
    fn words(inputs: usize, value: impl Fn(usize, usize) -> u32) -> Vec<u8> {
        let word = |input: usize, word: usize| {
            let nibbles = ORDER.iter().enumerate();
            nibbles.fold(0, |sum, (i, lane)| sum | value(word * 8 + lane, input) << (4 * i))
        };
        let words = (0..inputs).flat_map(|input| (0..ROWS / 8).map(move |w| (input, w)));
        words.flat_map(|(input, w)| word(input, w).to_le_bytes()).collect()
    }

    #[test]
    fn every_weight_is_where_it_belongs_whatever_rows_are_taken() {
        let (qweight, qzeros) = (words(COLS, quant), words(COLS / GROUP, zero));
        let scale = |i: usize| half::f16::from_f32(1.0 + i as f32);
        let scales: Vec<u8> = (0..2 * ROWS).flat_map(|i| scale(i).to_le_bytes()).collect();
        let linear = Linear {
            qweight: &qweight,
            qzeros: &qzeros,
            scales: &scales,
            rows: ROWS,
            cols: COLS,
            group: GROUP,
        };
        for range in [0..16, 8..16, 3..5, 5..13, 15..16] {
            let format = Format::Int4 { group: GROUP };
            let rows = Rows::new(format, range.len(), COLS, linear.pack(range.clone())).unwrap();
            let mut out = [0.0; COLS];
            for row in range.clone() {
                rows.decode(row - range.start, &mut out);
                for (col, weight) in out.iter().enumerate() {
                    let group = col / GROUP;
                    let scale = 1.0 + (group * ROWS + row) as f32;
                    let expect = (quant(row, col) as f32 - zero(row, group) as f32) * scale;
                    assert_eq!(*weight, expect, "row {row}, column {col} of {range:?}");
                }
            }
        }
    }
}
