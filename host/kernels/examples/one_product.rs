//! A product of some rows with one strip of weights, for `host/kernels/loops` to follow instruction by
//! instruction. Prints the bytes of the strip. Usage: one_product ISA FORMAT ROWS INPUTS
#![expect(clippy::unwrap_used, reason = "a tool of developers, which says what it takes")]

use std::env;

use signalbox_kernels::{
    Activations, Compute, Format, Isa, Packed, Packing, Rounding, Rows, product,
};

const FORMATS: &[Format] = &[
    Format::Int4 { group: 128 },
    Format::Int8 { group: 128 },
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q8_0,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
    Format::Bf16,
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [isa, format, rows, inputs] = &arguments[..] else { return };
    let isa: Isa = isa.parse().unwrap();
    isa.prefer(); // so that nothing is measured
    let format = *FORMATS.iter().find(|known| known.to_string() == *format).unwrap();
    let (rows, inputs): (usize, usize) = (rows.parse().unwrap(), inputs.parse().unwrap());
    let compute = Compute::new(isa, 1).unwrap();
    // Any weights do: no byte is above 0x0f, so every scale is a number.
    let bytes = format.row_bytes(inputs).unwrap() * Packing::ROWS;
    let weights = (0..bytes).map(|i| (i * 37) as u8 & 0x0f).collect();
    let weights = Packed::new(&Rows::new(format, Packing::ROWS, inputs, weights).unwrap()).unwrap();
    let x: Vec<f32> = (0..rows * inputs).map(|i| (i as f32).sin()).collect();
    let mut y = vec![0.0; rows * Packing::ROWS];
    let x = Activations::new(&x, inputs, Rounding::Coarse);
    // The second time activations are rounded already, as for all strips but a matrix's first.
    for _ in 0..2 {
        product(&x, &weights, &mut y, &compute);
    }
    println!("{}", weights.bytes());
}
