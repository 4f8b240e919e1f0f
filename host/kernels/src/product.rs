//! Linear layers on the fast path: activations times packed weights.

mod brains;
mod integers;
mod numbers;
mod strips;

use crate::{
    Activations, Compute, Format, Packed,
    activations::{Brains, Rounded},
    blocking::{ROWS, ROWS_AT_ONCE},
    columns::Columns,
    packed::{Layout, Stored},
    table::SweepBrains,
};
use strips::{STRIPS, stream_rows};

/// Packed bytes that are worth handing out, where there are few rows.
const TASK_BYTES: usize = 1 << 17;

/// `y = x · Wᵀ`, where `x` is `(n, weight.cols())` and `y` is `(n, weight.rows())`.
///
/// Where weights are integers, so are activations: their products are exact under one scale and f32
/// beyond, so the result differs from that of [`matmul`](crate::matmul) by the rounding of the
/// activations. Where they are plain numbers, it differs in the order of the sum, and for bf16 by rounding
/// activations to bf16 where the machine multiplies these. Neither `n` nor threads change a row's result.
///
/// # Panics
/// When the lengths disagree.
pub fn product(x: &Activations<'_>, weight: &Packed, y: &mut [f32], compute: &Compute) {
    assert_eq!(x.cols(), weight.cols(), "x and the weights differ in length");
    assert_eq!(y.len(), x.rows() * weight.rows(), "y has the wrong length");
    if x.rows() == 0 {
        return;
    }
    let strips = weight.rows().div_ceil(ROWS);
    let share = share(x.rows(), weight, compute);
    let y = Columns::new(y, weight.rows());
    let way = way(x, weight, compute);
    for first in (0..x.rows()).step_by(ROWS_AT_ONCE) {
        let rows = first..x.rows().min(first + ROWS_AT_ONCE);
        compute.each(strips.div_ceil(share), &|task| {
            let strips = task * share..strips.min((task + 1) * share);
            let write = |strip, out: &[_]| write(&y, rows.start, strip, out);
            match way {
                Way::Integers(layout, rounded) => {
                    let (x, all, rows) = (rounded, x.rows(), rows.clone());
                    let task = integers::Task { x, all, rows, weight, layout, strips };
                    task.run(compute.ops(), write);
                }
                Way::Brains(sweep, brains) => {
                    let x = &brains[rows.start / 2 * x.fours()..];
                    brains::Task { x, rows: rows.len(), weight, strips }.run(sweep, write);
                }
                Way::Numbers => {
                    let x = &x.numbers()[rows.start * x.cols()..rows.end * x.cols()];
                    numbers::Task { x, weight, strips }.run(compute.ops(), write);
                }
            }
        });
    }
}

/// How weights of a kind meet activations, and what these become for it.
#[derive(Clone, Copy)]
enum Way<'a> {
    Integers(Layout, &'a Rounded),
    Brains(SweepBrains, &'a [Brains]),
    Numbers,
}

/// Rounds activations where that is called for: by all workers, before each has a task of its own.
fn way<'a>(x: &'a Activations<'_>, weight: &Packed, compute: &Compute) -> Way<'a> {
    match (weight.stored(), compute.ops().sweep_brains) {
        (Stored::Integers(layout), _) => Way::Integers(layout, x.rounded(compute)),
        (Stored::Numbers, Some(sweep)) if weight.format() == Format::Bf16 => {
            Way::Brains(sweep, x.brains(compute))
        }
        (Stored::Numbers, _) => Way::Numbers,
    }
}

/// Strips of a task.
fn share(rows: usize, weight: &Packed, compute: &Compute) -> usize {
    let strips = weight.rows().div_ceil(ROWS);
    let even = strips.div_ceil(compute.threads());
    if rows > stream_rows(compute.isa()) {
        // A few tasks for each thread: none waits long for the others, and each uses its room many times.
        return even.div_ceil(4).next_multiple_of(STRIPS).min(even);
    }
    let worth = TASK_BYTES.div_ceil(weight.bytes() / strips);
    // An even share, or the part of it that is worth it.
    even.div_ceil((even / worth).max(1))
}

/// Writes the outputs of a strip for the rows from `first`.
fn write(y: &Columns<'_>, first: usize, strip: usize, out: &[[f32; ROWS]]) {
    let columns = strip * ROWS..y.width().min((strip + 1) * ROWS);
    for (row, out) in out.iter().enumerate() {
        #[expect(unsafe_code, reason = "threads write columns of the same rows")]
        // SAFETY: every strip is in one task, and strips have different columns.
        let y = unsafe { y.part(first + row, columns.clone()) };
        y.copy_from_slice(&out[..columns.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Format, Isa, Rounding, Rows, matmul,
        samples::{noise, rows},
    };

    /// Formats, rows and columns around every edge: strips, steps, blocks, chunks of blocks.
    const SHAPES: &[(Format, usize, usize)] = &[
        (Format::Int4 { group: 128 }, 33, 640),
        (Format::Int4 { group: 128 }, 200, 1152),
        (Format::Int4 { group: 64 }, 32, 192),
        (Format::Int4Wide { group: 32 }, 5, 544),
        (Format::Int8 { group: 128 }, 64, 256),
        (Format::Q4_0, 31, 576),
        (Format::Q4_1, 65, 1056),
        (Format::Q5_0, 96, 32),
        (Format::Q5_1, 1, 96),
        (Format::Q8_0, 130, 512),
        (Format::Q4K, 70, 768),
        (Format::Q5K, 40, 256),
        (Format::Q6K, 257, 1280),
        (Format::F32, 33, 70),
        (Format::F16, 100, 513),
        (Format::Bf16, 31, 256),
    ];

    fn fast(x: &[f32], weight: &Rows, rounding: Rounding, compute: &Compute) -> Vec<f32> {
        let packed = Packed::new(weight).unwrap();
        let mut y = vec![f32::NAN; x.len() / weight.cols() * weight.rows()];
        product(&Activations::new(x, weight.cols(), rounding), &packed, &mut y, compute);
        y
    }

    #[test]
    fn agrees_with_the_exact_product_but_for_the_rounding_of_activations() {
        for (format, outputs, cols) in SHAPES {
            let weight = rows(*format, *outputs, *cols, 1);
            for n in [1, 3, 17] {
                let x = noise(n * cols, 2);
                let mut exact = vec![0.0; n * outputs];
                matmul(&x, &weight, &mut exact, &Compute::scalar());
                let length = |y: &[f32]| y.iter().map(|y| y * y).sum::<f32>().sqrt();
                let roundings = [(Rounding::Coarse, 0.013), (Rounding::Fine, 0.008)];
                for isa in Isa::available() {
                    for (rounding, bound) in roundings {
                        let y = fast(&x, &weight, rounding, &Compute::new(isa, 2).unwrap());
                        let error: Vec<f32> = y.iter().zip(&exact).map(|(a, b)| a - b).collect();
                        let error = length(&error) / length(&exact);
                        let what = format!("{isa}, {format}, {n} rows, {rounding:?}");
                        assert!(error < bound, "{what}: off by {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn neither_rows_nor_threads_change_a_bit() {
        let all = [Rounding::Coarse, Rounding::Fine];
        let both = |shape| all.map(|rounding| (shape, rounding));
        for ((format, outputs, cols), rounding) in SHAPES.iter().flat_map(both) {
            let (weight, mut x) = (rows(*format, *outputs, *cols, 1), noise(35 * cols, 2));
            x.iter_mut().step_by(97).for_each(|x| *x *= 30.0);
            for isa in Isa::available() {
                let together = fast(&x, &weight, rounding, &Compute::new(isa, 1).unwrap());
                let compute = Compute::new(isa, 3).unwrap();
                assert_eq!(together, fast(&x, &weight, rounding, &compute), "{isa}, {format}");
                for (x, y) in x.chunks(*cols).zip(together.chunks(*outputs)) {
                    assert_eq!(y, fast(x, &weight, rounding, &compute), "{isa}, {format}");
                }
            }
        }
    }
}
