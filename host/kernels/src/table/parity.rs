//! Walks the table: every operation of every row that this machine has is held against its scalar
//! meaning. A row that is there and did not run fails.

mod attending;
mod products;

use crate::{Format, Isa, samples::noise};

use super::{
    SCALAR,
    ops::{Gate, Norm, Ops},
};

/// Lengths around every width that a register has.
const LENGTHS: [usize; 12] = [0, 1, 3, 7, 8, 15, 31, 32, 33, 64, 127, 515];

fn close(ours: f32, scalar: f32, scale: f32, what: &str) {
    assert!((ours - scalar).abs() <= 1e-5 * scale.max(1.0), "{what}: {ours} for {scalar}");
}

fn dots(isa: Isa, dot: fn(&[f32], &[f32]) -> f32) {
    for len in LENGTHS {
        let (a, b) = (noise(len, 1), noise(len, 2));
        close(dot(&a, &b), (SCALAR.dot)(&a, &b), len as f32, &format!("{isa} dot of {len}"));
    }
}

fn gates(isa: Isa, gates: [Gate; 2]) {
    for (gate, scalar) in gates.into_iter().zip([SCALAR.silu_gate, SCALAR.gelu_tanh_gate]) {
        for (len, size) in LENGTHS.into_iter().flat_map(|len| [(len, 1.0), (len, 200.0)]) {
            let (mut ours, up) = (noise(len, 3), noise(len, 4));
            ours.iter_mut().for_each(|x| *x *= size);
            let mut theirs = ours.clone();
            gate(&mut ours, &up);
            scalar(&mut theirs, &up);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                close(*ours, *theirs, size, &format!("{isa} gate of {len}"));
            }
        }
    }
}

fn gelus(isa: Isa, gelu: fn(&mut [f32])) {
    for (len, size) in LENGTHS.into_iter().flat_map(|len| [(len, 1.0), (len, 10.0), (len, 200.0)]) {
        let mut ours: Vec<f32> = noise(len, 8).iter().map(|x| x * size).collect();
        let mut scalar = ours.clone();
        gelu(&mut ours);
        (SCALAR.gelu)(&mut scalar);
        for (ours, scalar) in ours.iter().zip(&scalar) {
            close(*ours, *scalar, 1.0, &format!("{isa} gelu of {len}"));
        }
    }
}

fn softmaxes(isa: Isa, softmax: fn(&mut [f32])) {
    for (len, size) in LENGTHS.into_iter().flat_map(|len| [(len, 1.0), (len, 1000.0)]) {
        let mut ours: Vec<f32> = noise(len, 5).iter().map(|x| x * size).collect();
        let mut scalar = ours.clone();
        softmax(&mut ours);
        (SCALAR.softmax)(&mut scalar);
        for (ours, scalar) in ours.iter().zip(&scalar) {
            close(*ours, *scalar, 1.0, &format!("{isa} softmax of {len}"));
        }
    }
}

fn vectors(
    isa: Isa,
    dot: fn(&[f32], &[f32]) -> f32,
    gelu: fn(&mut [f32]),
    softmax: fn(&mut [f32]),
) {
    dots(isa, dot);
    gelus(isa, gelu);
    softmaxes(isa, softmax);
}

fn norms(isa: Isa, norms: [Norm; 2]) {
    for (norm, scalar) in norms.into_iter().zip([SCALAR.rms_norm, SCALAR.layer_norm]) {
        for len in LENGTHS.into_iter().filter(|len| *len > 0) {
            let (x, weight) = (noise(len, 6), noise(len, 7));
            let (mut ours, mut theirs) = (vec![f32::NAN; len], vec![f32::NAN; len]);
            norm(&x, &weight, 1e-5, &mut ours);
            scalar(&x, &weight, 1e-5, &mut theirs);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                close(*ours, *theirs, 1.0, &format!("{isa} norm of {len}"));
            }
        }
    }
}

/// Unpacking is exact in every row.
fn unpacking(isa: Isa, unpack: fn(Format, &[u8], &mut [f32])) {
    for format in Format::SAMPLES {
        let (len, bytes) = format.block();
        let blocks = 512usize.div_ceil(len);
        // No byte is above 0x6f, so no scale is an infinity.
        let packed: Vec<u8> = (0..blocks * bytes).map(|i| (i * 37 % 0x70) as u8).collect();
        let (mut ours, mut scalar) = (vec![0.0; blocks * len], vec![0.0; blocks * len]);
        unpack(*format, &packed, &mut ours);
        (SCALAR.unpack)(*format, &packed, &mut scalar);
        assert_eq!(ours, scalar, "{isa} unpack of {format}");
    }
}

#[test]
fn every_row_that_the_machine_has_means_what_the_scalar_one_does() {
    let mut ran = Vec::new();
    for (isa, ops) in Isa::ALL.into_iter().filter_map(|isa| Some((isa, Ops::of(isa)?))) {
        // Named one by one, so that an operation without a comparison does not compile.
        let Ops {
            isa: row,
            dot,
            silu_gate,
            gelu_tanh_gate,
            gelu,
            softmax,
            rms_norm,
            layer_norm,
            attend,
            absorb,
            unpack,
            survey,
            quantise,
            quantise_step,
            prefetch,
            expand,
            sweep,
            sweep_steps,
            stream,
            stream_steps,
            sweep_numbers,
            stream_numbers,
            sweep_brains,
        } = *ops;
        assert_eq!(row, isa, "the row of another");
        gates(isa, [silu_gate, gelu_tanh_gate]);
        vectors(isa, dot, gelu, softmax);
        norms(isa, [rms_norm, layer_norm]);
        attending::attending(isa, attend, absorb);
        unpacking(isa, unpack);
        products::quantising(isa, survey, quantise, quantise_step);
        prefetch(&[0; 200]); // means nothing, and does no harm
        products::expanding(isa, expand);
        products::sweeping(isa, sweep);
        products::sweeping_steps(isa, sweep_steps);
        products::streaming(isa, stream);
        products::streaming_steps(isa, stream, stream_steps);
        products::sweeping_numbers(isa, sweep_numbers);
        products::streaming_numbers(isa, stream_numbers);
        products::sweeping_brains(isa, sweep_brains);
        ran.push(isa.name());
    }
    println!("rows that ran: {}", ran.join(", "));
    assert!(expected().iter().all(|name| ran.contains(name)), "only {ran:?} of {:?}", expected());
}

/// What must have run, asked of the processor and not of [`Isa`].
fn expected() -> Vec<&'static str> {
    let mut names = vec!["scalar"];
    #[cfg(target_arch = "x86_64")]
    {
        names.extend(is_x86_feature_detected!("avx2").then_some("avx2"));
        names.extend(is_x86_feature_detected!("avx512vnni").then_some("avx512-vnni"));
        // Rust can't ask for it yet; the system does not list what it does not allow.
        let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        names.extend(listed.contains(" amx_int8").then_some("amx-int8"));
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::is_aarch64_feature_detected;
        names.push("neon");
        names.extend(is_aarch64_feature_detected!("dotprod").then_some("neon-dotprod"));
        names.extend(is_aarch64_feature_detected!("i8mm").then_some("neon-i8mm"));
        names.extend(is_aarch64_feature_detected!("bf16").then_some("neon-bf16"));
    }
    names
}
