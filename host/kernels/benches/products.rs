//! Fast products beside the exact one, on the shapes of a feed-forward layer of Qwen2.5 1.5B: one row of
//! activations against more weights than the caches hold, in bytes of packed weights a second; and 512
//! rows against one matrix, in multiplications a second.
#![expect(clippy::unwrap_used, reason = "a bench of its own weights")]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use signalbox_kernels::{
    Activations, Compute, Format, Isa, Packed, Rounding, Rows, matmul, product,
};

const OUTPUTS: usize = 8960;
const INPUTS: usize = 1536;
/// Matrices that one row meets in turn: together far more than a cache.
const LAYERS: usize = 24;
const FORMATS: &[Format] = &[
    Format::Int4 { group: 128 },
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q8_0,
    Format::Int8 { group: 128 },
    Format::F16,
    Format::Bf16,
];

/// Any weights do: no byte is above 0x37, so every scale is a number.
fn weights(format: Format, outputs: usize) -> Rows {
    let bytes = format.row_bytes(INPUTS).map(|bytes| bytes * outputs);
    let bytes = bytes.map(|bytes| (0..bytes).map(|i| (i * 37 % 0x38) as u8 & 0x0f).collect());
    Rows::new(format, outputs, INPUTS, bytes.unwrap_or_default()).unwrap()
}

fn ways() -> impl Iterator<Item = (String, Compute)> {
    let all = Compute::serving().threads();
    let isas = Isa::available().skip(1).flat_map(move |isa| [(isa, 1), (isa, all)]);
    isas.filter_map(|(isa, threads)| {
        Some((format!("{isa}, {threads} threads"), Compute::new(isa, threads)?))
    })
}

fn decode(criterion: &mut Criterion) {
    let x: Vec<f32> = (0..INPUTS).map(|i| (i as f32).sin()).collect();
    for format in FORMATS {
        let mut group = criterion.benchmark_group(format!("decode, {format}"));
        let rows = weights(*format, OUTPUTS);
        let pack = |_| Packed::new(&rows).unwrap();
        let layers: Vec<Packed> = (0..LAYERS).map(pack).collect();
        group.throughput(Throughput::Bytes(layers.iter().map(|l| l.bytes() as u64).sum()));
        for (name, compute) in ways() {
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                let mut y = vec![0.0; OUTPUTS];
                bench.iter(|| {
                    let x = Activations::new(&x, INPUTS, Rounding::Coarse);
                    layers.iter().for_each(|layer| product(&x, layer, &mut y, &compute));
                    black_box(&mut y);
                });
            });
        }
    }
}

fn prefill(criterion: &mut Criterion) {
    const ROWS: usize = 512;
    let x: Vec<f32> = (0..ROWS * INPUTS).map(|i| (i as f32).sin()).collect();
    for format in FORMATS {
        let mut group = criterion.benchmark_group(format!("prefill, {format}"));
        let rows = weights(*format, OUTPUTS);
        let packed = Packed::new(&rows).unwrap();
        group.throughput(Throughput::Elements((ROWS * INPUTS * OUTPUTS) as u64));
        let mut y = vec![0.0; ROWS * OUTPUTS];
        for (name, compute) in ways() {
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    let x = Activations::new(&x, INPUTS, Rounding::Coarse);
                    product(&x, &packed, &mut y, &compute);
                });
            });
        }
    }
}

/// The exact path that the others are measured against.
fn exact(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exact, one row");
    let (rows, compute) = (weights(Format::Q4K, OUTPUTS), Compute::serving());
    let (x, mut y) = (vec![0.5; INPUTS], vec![0.0; OUTPUTS]);
    group.throughput(Throughput::Bytes(rows.bytes() as u64));
    group.bench_function("q4_k", |bench| bench.iter(|| matmul(&x, &rows, &mut y, &compute)));
}

criterion_group! {
    name = products;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = decode, prefill, exact
}
criterion_main!(products);
