//! Packed weights to f32, whatever their format.

use super::{
    blocks::{self, each},
    float,
    format::Format,
    groups,
};

/// Unpacks whole blocks of `format` into as many f32. Must be inlined, so that it is compiled for
/// the instructions of its caller.
#[inline(always)]
pub(crate) fn unpack(format: Format, packed: &[u8], out: &mut [f32]) {
    let (len, _) = format.block();
    match format {
        Format::F32 => float::f32(packed, out),
        Format::F16 => float::f16(packed, out),
        Format::Bf16 => float::bf16(packed, out),
        Format::Int4 { group } => groups::int4(packed, group, out),
        Format::Int4Wide { group } => groups::int4_wide(packed, group, out),
        Format::Int8 { group } => groups::int8(packed, group, out),
        Format::Q4_0 => each(blocks::q4_0, len, packed, out),
        Format::Q4_1 => each(blocks::q4_1, len, packed, out),
        Format::Q5_0 => each(blocks::q5_0, len, packed, out),
        Format::Q5_1 => each(blocks::q5_1, len, packed, out),
        Format::Q8_0 => each(blocks::q8_0, len, packed, out),
        Format::Q4K => each(blocks::q4_k, len, packed, out),
        Format::Q5K => each(blocks::q5_k, len, packed, out),
        Format::Q6K => each(blocks::q6_k, len, packed, out),
    }
}
