//! Linears as AutoAWQ and compressed-tensors pack them, turned into rows the kernels read.
//!
//! All of them hold a small whole number for every weight, in words of 32 bits, and a scale and a zero
//! point for every group of inputs: `w = (q - zero) * scale`. They differ in what lies beside what. In
//! memory an output's weights lie together, group by group, each group behind its scale and zero point
//! ([`Format::Int4`] and its kin). No number changes.

use std::ops::Range;

use signalbox_kernels::Format;

/// Nibbles of a word.
const NIBBLES: usize = 8;
/// Where in a word of AWQ's gemm version the nibble of each of its eight outputs begins; the inverse of
/// AutoAWQ's order 0, 2, 4, 6, 1, 3, 5, 7.
const AWQ_SHIFTS: [u32; NIBBLES] = [0, 16, 4, 20, 8, 24, 12, 28];

/// What lies beside what. A "word of x" holds neighbouring x, the first in the lowest bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Input-major. Weights `(cols, rows / 8)` and zero points `(cols / group, rows / 8)` are words of
    /// outputs in AutoAWQ's order; scales are `(cols / group, rows)`.
    AwqGemm,
    /// Output-major. Weights `(rows, cols / 8)` are words of inputs, zero points `(rows, width)` words of
    /// groups; scales are `(rows, 8 * width)`. What is behind the last group is padding.
    AwqGemv {
        /// Words of a row of zero points.
        width: usize,
    },
    /// Output-major. Weights `(rows, cols * bits / 32)` are words of inputs, zero points
    /// `(rows * bits / 32, cols / group)` words of outputs; scales are `(rows, cols / group)`. Without
    /// zero points, the middle of the range is zero.
    CompressedTensors {
        /// Of a weight: 4 or 8.
        bits: u32,
    },
}

/// The tensors of a linear with `rows` outputs and `cols` inputs, lengths checked.
pub(super) struct PackedLinear<'a> {
    /// What lies beside what.
    pub(super) layout: Layout,
    /// Words.
    pub(super) weights: &'a [u8],
    /// Words.
    pub(super) zeros: Option<&'a [u8]>,
    /// Plain numbers.
    pub(super) scales: &'a [u8],
    /// Which: [`Format::F16`], [`Format::Bf16`] or [`Format::F32`].
    pub(super) scale: Format,
    /// Outputs.
    pub(super) rows: usize,
    /// Inputs.
    pub(super) cols: usize,
    /// Inputs that share a scale.
    pub(super) group: usize,
}

impl Layout {
    /// How the kernels hold groups of such a layout with scales of such numbers.
    pub(super) fn format(self, group: usize, scale: Format) -> Format {
        match (self, scale) {
            (Self::CompressedTensors { bits: 8 }, _) => Format::Int8 { group },
            (_, Format::F16) => Format::Int4 { group },
            _ => Format::Int4Wide { group },
        }
    }
}

impl PackedLinear<'_> {
    /// Packs some of the outputs.
    pub(super) fn pack(&self, rows: Range<usize>) -> Vec<u8> {
        let groups = self.cols / self.group;
        let zeros = self.zeros.unwrap_or_default();
        match self.layout {
            Layout::AwqGemm => {
                let words = self.rows / NIBBLES;
                let zero = |row: usize, group: usize| {
                    let word = word(zeros, group * words + row / NIBBLES);
                    (word >> AWQ_SHIFTS[row % NIBBLES] & 15) as u8
                };
                let weights = self.gemm_weights(rows.clone());
                self.pack_with(rows, &weights, zero, |row, group| group * self.rows + row)
            }
            Layout::AwqGemv { width } => self.pack_with(
                rows.clone(),
                &self.row_weights::<4>(rows, self.cols / NIBBLES),
                |row, group| nibble(zeros, row * width, group),
                |row, group| row * width * NIBBLES + group,
            ),
            Layout::CompressedTensors { bits: 8 } => self.pack_compressed::<8>(rows, groups),
            Layout::CompressedTensors { .. } => self.pack_compressed::<4>(rows, groups),
        }
    }

    fn pack_compressed<const BITS: usize>(&self, rows: Range<usize>, groups: usize) -> Vec<u8> {
        let per_word = 32 / BITS;
        let zero = |row: usize, group: usize| match self.zeros {
            Some(zeros) => {
                let word = word(zeros, row / per_word * groups + group);
                (word >> (row % per_word * BITS) & ((1 << BITS) - 1)) as u8
            }
            None => 1 << (BITS - 1),
        };
        let weights = self.row_weights::<BITS>(rows.clone(), self.cols.div_ceil(per_word));
        self.pack_with(rows, &weights, zero, |row, group| row * groups + group)
    }

    /// The weights of some outputs `(rows, cols)`, a byte each, out of words of eight outputs.
    fn gemm_weights(&self, rows: Range<usize>) -> Vec<u8> {
        let (cols, words) = (self.cols, self.rows / NIBBLES);
        let mut weights = vec![0; rows.len() * cols];
        for eight in rows.start / NIBBLES..rows.end.div_ceil(NIBBLES) {
            let first = eight * NIBBLES;
            let lanes = rows.start.max(first)..rows.end.min(first + NIBBLES);
            for col in 0..cols {
                let word = word(self.weights, col * words + eight);
                for row in lanes.clone() {
                    let weight = (word >> AWQ_SHIFTS[row - first] & 15) as u8;
                    weights[(row - rows.start) * cols + col] = weight;
                }
            }
        }
        weights
    }

    /// The same out of `width` words of inputs for each output.
    fn row_weights<const BITS: usize>(&self, rows: Range<usize>, width: usize) -> Vec<u8> {
        let mut weights = vec![0; rows.len() * self.cols];
        let words = self.weights[4 * rows.start * width..].chunks_exact(4 * width);
        for (row, words) in weights.chunks_exact_mut(self.cols).zip(words) {
            for (weights, word) in row.chunks_mut(32 / BITS).zip(words.as_chunks().0) {
                let word = u32::from_le_bytes(*word);
                for (index, weight) in weights.iter_mut().enumerate() {
                    *weight = (word >> (index * BITS) & ((1 << BITS) - 1)) as u8;
                }
            }
        }
        weights
    }

    /// Packs outputs by their weights, and where each `(row, group)` has its zero point and its scale.
    fn pack_with(
        &self,
        rows: Range<usize>,
        weights: &[u8],
        zero: impl Fn(usize, usize) -> u8,
        scale: impl Fn(usize, usize) -> usize,
    ) -> Vec<u8> {
        let format = self.layout.format(self.group, self.scale);
        let row_bytes = format.row_bytes(self.cols).unwrap_or_default();
        let mut packed = Vec::with_capacity(rows.len() * row_bytes);
        for (row, weights) in rows.zip(weights.chunks_exact(self.cols)) {
            for (group, weights) in weights.chunks_exact(self.group).enumerate() {
                match format {
                    Format::Int4 { .. } => packed.extend(half(self.scales, scale(row, group))),
                    _ => packed.extend(self.wide_scale(scale(row, group)).to_le_bytes()),
                }
                packed.push(zero(row, group));
                if let Format::Int8 { .. } = format {
                    packed.extend(weights);
                } else {
                    let (low, high) = weights.split_at(self.group / 2);
                    packed.extend(low.iter().zip(high).map(|(low, high)| low | high << 4));
                }
            }
        }
        packed
    }

    /// The scale at `index` as the f32 of equal value.
    fn wide_scale(&self, index: usize) -> f32 {
        match self.scale {
            Format::F16 => half::f16::from_le_bytes(half(self.scales, index)).to_f32(),
            Format::Bf16 => half::bf16::from_le_bytes(half(self.scales, index)).to_f32(),
            _ => f32::from_bits(word(self.scales, index)),
        }
    }
}

fn half(halves: &[u8], index: usize) -> [u8; 2] {
    [halves[2 * index], halves[2 * index + 1]]
}

fn word(words: &[u8], index: usize) -> u32 {
    let bytes = &words[4 * index..4 * index + 4];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Nibble `index` of those whose words begin at word `first`.
fn nibble(words: &[u8], first: usize, index: usize) -> u8 {
    (word(words, first + index / NIBBLES) >> (4 * (index % NIBBLES)) & 15) as u8
}

#[cfg(test)]
mod tests {
    use signalbox_kernels::Rows;

    use super::*;

    const ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
    const ROWS: usize = 16;
    const COLS: usize = 48;
    const GROUP: usize = 12;
    const GROUPS: usize = COLS / GROUP;

    fn quant(row: usize, col: usize) -> u32 {
        ((row * 7 + col * 3) % 16) as u32
    }

    fn zero(row: usize, group: usize) -> u32 {
        ((row + group * 5) % 16) as u32
    }

    fn scale(row: usize, group: usize) -> f32 {
        1.0 + (group * ROWS + row) as f32
    }

    /// `outer` rows of words over `inner` numbers, nibble `i` of a word of number `order[i]`.
    fn words(
        (outer, inner): (usize, usize),
        order: [usize; 8],
        number: impl Fn(usize, usize) -> u32,
    ) -> Vec<u8> {
        let word = |outer: usize, word: usize| {
            let nibbles = order.iter().enumerate();
            nibbles.fold(0, |sum, (i, lane)| sum | number(outer, word * 8 + lane) << (4 * i))
        };
        let places = (0..outer).flat_map(|o| (0..inner.div_ceil(8)).map(move |w| (o, w)));
        places.flat_map(|(o, w)| word(o, w).to_le_bytes()).collect()
    }

    fn halves(numbers: impl Iterator<Item = f32>) -> Vec<u8> {
        numbers.flat_map(|number| half::f16::from_f32(number).to_le_bytes()).collect()
    }

    fn bfloats(numbers: impl Iterator<Item = f32>) -> Vec<u8> {
        numbers.flat_map(|number| half::bf16::from_f32(number).to_le_bytes()).collect()
    }

    /// Every weight is where it belongs, whatever rows are taken.
    fn check(linear: &PackedLinear<'_>, expect: impl Fn(usize, usize) -> f32) {
        let format = linear.layout.format(GROUP, linear.scale);
        for range in [0..16, 8..16, 3..5, 5..13, 15..16] {
            let rows = Rows::new(format, range.len(), COLS, linear.pack(range.clone())).unwrap();
            let mut out = [0.0; COLS];
            for row in range.clone() {
                rows.decode(row - range.start, &mut out);
                for (col, weight) in out.iter().enumerate() {
                    assert_eq!(*weight, expect(row, col), "row {row}, column {col} of {range:?}");
                }
            }
        }
    }

    fn expect(row: usize, col: usize) -> f32 {
        let group = col / GROUP;
        (quant(row, col) as f32 - zero(row, group) as f32) * scale(row, group)
    }

    fn linear<'a>(
        layout: Layout,
        scale: Format,
        [weights, scales]: [&'a [u8]; 2],
    ) -> PackedLinear<'a> {
        let (rows, cols, group) = (ROWS, COLS, GROUP);
        PackedLinear { layout, weights, zeros: None, scales, scale, rows, cols, group }
    }

    #[test]
    fn awq_gemm_is_input_major_in_an_order_of_its_own() {
        let weights = words((COLS, ROWS), ORDER, |col, row| quant(row, col));
        let zeros = words((GROUPS, ROWS), ORDER, |group, row| zero(row, group));
        let scales = halves((0..GROUPS).flat_map(|g| (0..ROWS).map(move |row| scale(row, g))));
        let linear = linear(Layout::AwqGemm, Format::F16, [&weights, &scales]);
        check(&PackedLinear { zeros: Some(&zeros), ..linear }, expect);
    }

    #[test]
    fn awq_gemv_is_output_major_and_padded() {
        const WIDTH: usize = 2;
        let plain = std::array::from_fn(|i| i);
        let weights = words((ROWS, COLS), plain, quant);
        let padded = |row: usize, group: usize| if group < GROUPS { zero(row, group) } else { 9 };
        let zeros = words((ROWS, 8 * WIDTH), plain, padded);
        let scales = (0..ROWS).flat_map(|row| (0..8 * WIDTH).map(move |g| scale(row, g)));
        let scales = halves(scales);
        let linear = linear(Layout::AwqGemv { width: WIDTH }, Format::F16, [&weights, &scales]);
        check(&PackedLinear { zeros: Some(&zeros), ..linear }, expect);
    }

    #[test]
    fn compressed_tensors_pack_zero_points_over_outputs() {
        let plain = std::array::from_fn(|i| i);
        let weights = words((ROWS, COLS), plain, quant);
        let scales = || (0..ROWS).flat_map(|row| (0..GROUPS).map(move |g| scale(row, g)));
        let [narrow, wide] = [halves(scales()), bfloats(scales())];
        // (rows / 8, groups): the words of one group stand GROUPS apart.
        let by_group = words((GROUPS, ROWS), plain, |group, row| zero(row, group));
        let (by_group, _) = by_group.as_chunks::<4>();
        let places = (0..ROWS / 8).flat_map(|w| (0..GROUPS).map(move |g| g * ROWS / 8 + w));
        let zeros: Vec<u8> = places.flat_map(|at| by_group[at]).collect();
        let layout = Layout::CompressedTensors { bits: 4 };
        for (scale, scales) in [(Format::F16, &narrow), (Format::Bf16, &wide)] {
            let linear = linear(layout, scale, [&weights, scales]);
            check(&PackedLinear { zeros: Some(&zeros), ..linear }, expect);
        }
        let symmetric =
            |row: usize, col: usize| (quant(row, col) as f32 - 8.0) * scale(row, col / GROUP);
        check(&linear(layout, Format::F16, [&weights, &narrow]), symmetric);
    }

    #[test]
    fn compressed_tensors_have_bytes_too() {
        let byte = |row: usize, col: usize| (row * 31 + col * 7) as u8;
        let weights: Vec<u8> =
            (0..ROWS).flat_map(|row| (0..COLS).map(move |col| byte(row, col))).collect();
        let scales = (0..ROWS).flat_map(|row| (0..GROUPS).map(move |g| scale(row, g)));
        let scales: Vec<u8> = scales.flat_map(f32::to_le_bytes).collect();
        let layout = Layout::CompressedTensors { bits: 8 };
        let linear = linear(layout, Format::F32, [&weights, &scales]);
        let expect =
            |row: usize, col: usize| (f32::from(byte(row, col)) - 128.0) * scale(row, col / GROUP);
        check(&linear, expect);
    }
}
