//! The tile program on emulated tiles gives bit for bit what registers alone give, for every kind of panel.

use super::{ROWS_MAX, Registers, emulator::Emulator, sweep};
use crate::{
    Format, Isa,
    activations::{Block, quantise, survey},
    blocking::{BLOCKS, DEPTH, ROWS, STEP},
    packed::{Layout, Panel},
    samples::{Noise, noise},
    simd::{avx2::Avx2, avx512::Avx512},
    sweep::{scalar, tile},
};

/// One of every number of scales, with minima and without, narrow and wide.
const KINDS: [Format; 11] = [
    Format::Int4 { group: 128 },
    Format::Int4Wide { group: 128 },
    Format::Int8 { group: 128 },
    Format::Int4 { group: 64 },
    Format::Int8 { group: 32 },
    Format::Q4_0,
    Format::Q5_0,
    Format::Q8_0,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
];

/// A panel of noise, or of the largest weights that the format has.
fn panel(format: Format, blocks: usize, extreme: bool) -> Box<Panel> {
    let layout = Layout::of(format).unwrap();
    let (mut panel, mut noise) = (Panel::new(layout), Noise(21));
    let largest = ((1 << layout.bits) - 1) as u8;
    for quant in panel.quants.as_flattened_mut().as_flattened_mut() {
        *quant = if extreme { largest } else { noise.bits() as u8 & largest };
    }
    for numbers in [&mut panel.factors, &mut panel.minima] {
        let numbers = numbers.as_flattened_mut().as_flattened_mut();
        numbers.iter_mut().for_each(|number| *number = noise.number());
    }
    panel.blocks = blocks;
    panel
}

/// Blocks of some rows, whose quants are noise or all as large as can be.
fn blocks(rows: usize, stride: usize, extreme: bool) -> Vec<Block> {
    let mut blocks = vec![Block::default(); rows * stride];
    let x =
        if extreme { vec![-1.0; rows * stride * DEPTH] } else { noise(rows * stride * DEPTH, 22) };
    let mut maxima = vec![0.0; x.len() / STEP];
    survey(&x, &mut maxima);
    quantise(&x, &maxima, &mut blocks);
    blocks
}

fn same_bits<S: Registers>(simd: S, format: Format, rows: usize, extreme: bool) {
    let count = 1 + rows % BLOCKS;
    let (panel, stride) = (panel(format, count, extreme), count + rows % 2);
    let blocks = blocks(rows, stride, extreme);
    let blocks = &blocks[..(rows - 1) * stride + count];
    let start: Vec<[f32; ROWS]> = noise(rows * ROWS, 23).as_chunks().0.to_vec();
    let (mut tiles, mut registers, mut scalar) = (start.clone(), start.clone(), start);
    sweep(simd, &mut Emulator::new(), &panel, blocks, stride, &mut tiles);
    tile::sweep(simd, &panel, blocks, stride, &mut registers);
    let what = format!("{format}, {rows} rows, extreme: {extreme}");
    assert_eq!(tiles, registers, "{what}");
    scalar::sweep(&panel, blocks, stride, &mut scalar);
    for (ours, scalar) in tiles.as_flattened().iter().zip(scalar.as_flattened()) {
        let close = (ours - scalar).abs() <= 1e-4 * scalar.abs().max(10.0);
        assert!(close, "{what}: {ours} for {scalar}");
    }
}

/// Around every edge of a tile of rows and of those that meet the same weights.
fn everything(run: impl Fn(Format, usize, bool)) {
    let rows = (ROWS_MAX..=40).chain([63, 64, 65, 81, 128, 131]);
    for (format, rows) in KINDS.into_iter().flat_map(|f| rows.clone().map(move |n| (f, n))) {
        run(format, rows, false);
        run(format, rows, true);
    }
}

#[test]
#[expect(unsafe_code, reason = "registers exist where their instructions were found")]
fn emulated_tiles_give_the_bits_of_registers() {
    assert!(Isa::Avx2.is_available(), "no registers to compare with");
    // SAFETY: the machine has the instructions.
    let simd = unsafe { Avx2::new() };
    everything(|format, rows, extreme| same_bits(simd, format, rows, extreme));
    if Isa::Avx512Vnni.is_available() {
        // SAFETY: as above.
        let simd = unsafe { Avx512::new() };
        everything(|format, rows, extreme| same_bits(simd, format, rows, extreme));
    }
}
