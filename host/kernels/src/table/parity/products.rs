//! The parts of a fast product, each against its scalar meaning.

use super::close;
use crate::{
    Activations, Compute, Format, Isa, Packed, Rounding,
    activations::{Block, STEPS, Step},
    blocking::{BLOCKS, DEPTH, ROWS, STEP},
    packed::{Layout, Panel, Stored},
    samples::{Noise, noise, rows},
    sweep::brains,
    table::{
        SCALAR,
        ops::{
            Quantise, QuantiseStep, Stream, StreamNumbers, StreamSteps, Survey, Sweep, SweepBrains,
            SweepNumbers, SweepSteps,
        },
    },
};

/// Inputs of every sort: plain, none, huge, tiny, one that stands out.
fn inputs(len: usize) -> Vec<Vec<f32>> {
    let mut outlier = noise(len, 3);
    outlier.iter_mut().step_by(37).for_each(|x| *x *= 1000.0);
    let scaled = |factor: f32| noise(len, 4).iter().map(|x| x * factor).collect();
    vec![noise(len, 5), vec![0.0; len], scaled(1e30), scaled(1e-42), scaled(1e-36), outlier]
}

/// Blocks of a row none of whose steps is an outlier.
fn quantised(x: &[f32], blocks: &mut [Block]) {
    let mut maxima = vec![0.0; x.len().div_ceil(STEP)];
    (SCALAR.survey)(x, &mut maxima);
    (SCALAR.quantise)(x, &maxima, blocks);
}

/// Steps of every place of a few blocks, some rows at each, by place.
fn steps(blocks: usize, rows_of_step: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for place in 0..(blocks * STEPS) as u32 {
        // As many as there are, and fewer, so that tiles of all sizes form.
        for row in (0..rows_of_step as u32).take(1 + place as usize % rows_of_step) {
            let mut step = Step { place, row, ..Step::default() };
            let mut x = [0.0; STEP];
            x.copy_from_slice(&noise(STEP, place * 31 + row));
            (SCALAR.quantise_step)(&mut x, &mut step);
            steps.push(step);
        }
    }
    steps
}

/// Quants are the same in every row, bit for bit.
pub(super) fn quantising(
    isa: Isa,
    survey: Survey,
    quantise: Quantise,
    quantise_step: QuantiseStep,
) {
    for len in [1usize, 31, 32, 127, 128, 129, 256, 576] {
        for x in inputs(len) {
            let (mut maxima, mut scalar) =
                (vec![0.0; len.div_ceil(STEP)], vec![0.0; len.div_ceil(STEP)]);
            let (energy, exact) = (survey(&x, &mut maxima), (SCALAR.survey)(&x, &mut scalar));
            assert_eq!(maxima, scalar, "{isa} survey of {len}");
            let same = energy == exact || (energy / exact - 1.0).abs() < 1e-5;
            assert!(same, "{isa} energy of {len}: {energy} for {exact}");
            maxima.iter_mut().step_by(5).for_each(|max| *max = -*max);
            let none = vec![Block::default(); len.div_ceil(DEPTH)];
            let (mut ours, mut scalar) = (none.clone(), none);
            quantise(&x, &maxima, &mut ours);
            (SCALAR.quantise)(&x, &maxima, &mut scalar);
            assert_eq!(ours, scalar, "{isa} quantise of {len}");
            let Some(x) = x.first_chunk() else { continue };
            let (mut rest, mut scalar_rest) = (*x, *x);
            let (mut ours, mut scalar) = (Step::default(), Step::default());
            quantise_step(&mut rest, &mut ours);
            (SCALAR.quantise_step)(&mut scalar_rest, &mut scalar);
            assert_eq!(ours, scalar, "{isa} quantise_step");
            for (rest, scalar) in rest.into_iter().zip(scalar_rest) {
                close(rest, scalar, ours.scale, &format!("{isa} rest of a step"));
            }
        }
    }
}

/// Formats that have a layout, with groups of every sort.
fn packable() -> impl Iterator<Item = Format> {
    let groups = [32, 64, 128, 256].into_iter().flat_map(|group| {
        [Format::Int4 { group }, Format::Int4Wide { group }, Format::Int8 { group }]
    });
    let plain = Format::SAMPLES.iter().copied();
    groups.chain(plain).filter(|format| Layout::of(*format).is_some())
}

fn layout_of(packed: &Packed) -> Layout {
    match packed.stored() {
        Stored::Integers(layout) => layout,
        Stored::Numbers => panic!("{} has no layout", packed.format()),
    }
}

/// Panels are the same in every row, bit for bit.
pub(super) fn expanding(isa: Isa, expand: fn(Layout, &[u8], &mut Panel)) {
    for format in packable() {
        let cols = format.block().0 * 32usize.div_ceil(format.block().0);
        for cols in [cols, 2 * cols].into_iter().filter(|cols| *cols <= BLOCKS * DEPTH) {
            let packed = Packed::new(&rows(format, ROWS, cols, 6)).unwrap();
            let mut ours = Panel::new(layout_of(&packed));
            let mut scalar = Panel::new(layout_of(&packed));
            expand(layout_of(&packed), packed.strip(0), &mut ours);
            (SCALAR.expand)(layout_of(&packed), packed.strip(0), &mut scalar);
            assert!(ours.quants == scalar.quants, "{isa} quants of {format} by {cols}");
            assert!(ours.factors == scalar.factors, "{isa} factors of {format} by {cols}");
            assert!(ours.minima == scalar.minima, "{isa} minima of {format} by {cols}");
            assert_eq!(ours.blocks, scalar.blocks, "{isa} blocks of {format} by {cols}");
        }
    }
}

/// A panel that holds the widest integers of its kind.
fn panel(format: Format, blocks: usize, extreme: bool) -> Box<Panel> {
    let layout = Layout::of(format).unwrap();
    let (mut panel, mut noise) = (Panel::new(layout), Noise(7));
    let largest = ((1 << layout.bits) - 1) as u8;
    for quant in panel.quants.as_flattened_mut().as_flattened_mut() {
        *quant = if extreme { largest } else { noise.bits() as u8 & largest };
    }
    let numbers = panel.factors.as_flattened_mut().as_flattened_mut().iter_mut();
    numbers.for_each(|factor| *factor = noise.number() * 0.01);
    let numbers = panel.minima.as_flattened_mut().as_flattened_mut().iter_mut();
    numbers.for_each(|minimum| *minimum = noise.number() * 0.1);
    panel.blocks = blocks;
    panel
}

/// Integers are summed exactly and the rest in f32, so results differ in the last bits alone.
pub(super) fn sweeping(isa: Isa, sweep: Sweep) {
    let kinds = [Format::Q4_1, Format::Q4_0, Format::Q8_0, Format::Q5K, Format::Q6K];
    let groups =
        [Format::Int4 { group: 128 }, Format::Int8 { group: 128 }, Format::Int4 { group: 64 }];
    for (format, extreme) in kinds.into_iter().chain(groups).flat_map(|f| [(f, false), (f, true)]) {
        for n in [1, 2, 3, 4, 5, 6, 7, 13, 32, 41] {
            let blocks = 1 + n % BLOCKS;
            let (panel, stride) = (panel(format, blocks, extreme), blocks + 1);
            let mut x = vec![Block::default(); n * stride];
            let numbers =
                if extreme { vec![-1.0; n * stride * DEPTH] } else { noise(n * stride * DEPTH, 8) };
            quantised(&numbers, &mut x);
            let (mut ours, mut scalar) = (vec![[1.0; ROWS]; n], vec![[1.0; ROWS]; n]);
            sweep(&panel, &x, stride, &mut ours);
            (SCALAR.sweep)(&panel, &x, stride, &mut scalar);
            for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
                let close = (ours - scalar).abs() <= 1e-4 * scalar.abs().max(1.0);
                assert!(close, "{isa} sweep of {format}, {n} rows: {ours} for {scalar}");
            }
        }
    }
}

/// As [`sweeping`], of steps that are rounded by themselves.
pub(super) fn sweeping_steps(isa: Isa, sweep_steps: SweepSteps) {
    let kinds = [Format::Q4_1, Format::Q4_0, Format::Q8_0, Format::Q5_1, Format::Q6K];
    let groups = [Format::Int4 { group: 128 }, Format::Int8 { group: 128 }];
    for (format, rows_of_step) in kinds.into_iter().chain(groups).flat_map(|f| [(f, 1), (f, 8)]) {
        let (panel, steps) = (panel(format, BLOCKS, false), steps(BLOCKS, rows_of_step));
        let (mut ours, mut scalar) =
            (vec![[1.0; ROWS]; rows_of_step], vec![[1.0; ROWS]; rows_of_step]);
        sweep_steps(&panel, &steps, &mut ours);
        (SCALAR.sweep_steps)(&panel, &steps, &mut scalar);
        for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
            close(*ours, *scalar, 10.0 * scalar.abs(), &format!("{isa} steps of {format}"));
        }
    }
}

/// As [`sweeping_steps`], with weights as they are packed.
pub(super) fn streaming_steps(isa: Isa, stream: Stream, stream_steps: StreamSteps) {
    for format in packable() {
        let cols = BLOCKS * DEPTH / format.block().0.max(32) * format.block().0.max(32);
        let packed = Packed::new(&rows(format, ROWS, cols, 15)).unwrap();
        let (layout, mut x) = (layout_of(&packed), vec![Block::default(); BLOCKS]);
        quantised(&noise(cols, 16), &mut x);
        let run = |stream: Stream, stream_steps: StreamSteps| {
            let (mut panel, mut out) = (Panel::new(layout), [[0.0; ROWS]]);
            let mut sums = vec![[1.0; ROWS]; 3];
            stream(layout, packed.strip(0), &mut panel, &x, BLOCKS, &mut out);
            let steps = steps(cols / DEPTH, 3);
            stream_steps(layout, packed.strip(0), &panel, &steps, &mut sums);
            sums
        };
        let (ours, scalar) = (run(stream, stream_steps), run(SCALAR.stream, SCALAR.stream_steps));
        for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
            close(*ours, *scalar, 10.0 * scalar.abs(), &format!("{isa} steps of {format}"));
        }
    }
}

/// As [`sweeping`], with weights as they are packed.
pub(super) fn streaming(isa: Isa, stream: Stream) {
    for format in packable() {
        let (cols, n) = (format.block().0 * 32usize.div_ceil(format.block().0), 4);
        let depths = [cols, 2 * cols, BLOCKS * DEPTH / cols * cols];
        for cols in depths.into_iter().filter(|cols| (1..=BLOCKS * DEPTH).contains(cols)) {
            let packed = Packed::new(&rows(format, ROWS, cols, 9)).unwrap();
            let (layout, width) = (layout_of(&packed), cols.div_ceil(DEPTH));
            let mut x = vec![Block::default(); n * width];
            for (x, seed) in x.chunks_mut(width).zip(10..) {
                quantised(&noise(cols, seed), x);
            }
            for n in 1..=n {
                let (mut ours, mut scalar) = (vec![[1.0; ROWS]; n], vec![[1.0; ROWS]; n]);
                let mut panel = Panel::new(layout);
                stream(layout, packed.strip(0), &mut panel, &x, width, &mut ours);
                (SCALAR.stream)(layout, packed.strip(0), &mut panel, &x, width, &mut scalar);
                for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
                    let close = (ours - scalar).abs() <= 1e-4 * scalar.abs().max(1.0);
                    assert!(close, "{isa} stream of {format}, {n} by {cols}: {ours} for {scalar}");
                }
            }
        }
    }
}

/// Sums are formed in one order, so results differ by the roundings of multiplications.
pub(super) fn sweeping_numbers(isa: Isa, sweep: SweepNumbers) {
    for (n, depth) in [1, 2, 3, 4, 5, 6, 13].into_iter().flat_map(|n| [(n, 1), (n, 77)]) {
        let (panel, x) = (noise(depth * ROWS, 11), noise(n * (depth + 3), 12));
        let panel = panel.as_chunks().0;
        let (mut ours, mut scalar) = (vec![[1.0; ROWS]; n], vec![[1.0; ROWS]; n]);
        sweep(panel, &x, depth + 3, &mut ours);
        (SCALAR.sweep_numbers)(panel, &x, depth + 3, &mut scalar);
        for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
            assert!((ours - scalar).abs() < 1e-4, "{isa}, {n} by {depth}: {ours} for {scalar}");
        }
    }
}

/// As [`sweeping_numbers`], with weights as they are packed.
pub(super) fn streaming_numbers(isa: Isa, stream: StreamNumbers) {
    for format in [Format::F32, Format::F16, Format::Bf16] {
        for (n, cols) in (1..=4).flat_map(|n| [(n, 1), (n, 33)]) {
            let packed = Packed::new(&rows(format, ROWS, cols, 13)).unwrap();
            let x = noise(n * cols, 14);
            let (mut ours, mut scalar) = (vec![[1.0; ROWS]; n], vec![[1.0; ROWS]; n]);
            stream(format, packed.strip(0), &x, cols, &mut ours);
            (SCALAR.stream_numbers)(format, packed.strip(0), &x, cols, &mut scalar);
            for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
                let close = (ours - scalar).abs() < 1e-4;
                assert!(close, "{isa}, {format}, {n} by {cols}: {ours} for {scalar}");
            }
        }
    }
}

/// Where there is one: inputs around every four, rows around every tile.
pub(super) fn sweeping_brains(isa: Isa, sweep: Option<SweepBrains>) {
    let Some(sweep) = sweep else { return };
    for (n, cols) in [1, 2, 3, 4, 5, 6, 13].into_iter().flat_map(|n| [(n, 1), (n, 39), (n, 260)]) {
        let packed = Packed::new(&rows(Format::Bf16, ROWS, cols, 17)).unwrap();
        let x = noise(n * cols, 18);
        let x = Activations::new(&x, cols, Rounding::Coarse);
        let (pairs, fours) = (x.brains(&Compute::scalar()), x.fours());
        let (mut ours, mut scalar) = (vec![[1.0; ROWS]; n], vec![[1.0; ROWS]; n]);
        sweep(packed.strip(0), pairs, fours, &mut ours);
        brains::sweep(packed.strip(0), pairs, fours, &mut scalar);
        for (ours, scalar) in ours.as_flattened().iter().zip(scalar.as_flattened()) {
            let close = (ours - scalar).abs() < 1e-4;
            assert!(close, "{isa}, {n} by {cols}: {ours} for {scalar}");
        }
    }
}
