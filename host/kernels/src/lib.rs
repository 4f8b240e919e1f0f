//! Numeric operations of the engine behind safe functions.
//!
//! A kernel is a plain function over slices. Its documentation gives shapes, row-major, outermost
//! first: `(rows, cols)`. Activations are f32 and so is every sum; weights stay packed as [`Rows`].
//! Lengths are checked once, at the door, and a kernel panics when they disagree: that is a mistake
//! of the caller and never of a user's input. Input is checked where it enters, in [`Rows::new`].
//!
//! [`Compute`] says how: a row of the table of operations and instruction sets (`table.rs`), and workers
//! that wait between calls (`pool.rs`). The scalar row is the meaning of every other.
//!
//! Products come in two kinds. [`matmul`] is exact: f32 activations and weights as they are stored. [`product`]
//! is fast: [`Activations`], in 8 bits where weights are integers and quantised once for all products of one
//! input, and [`Packed`] weights, what is stored in another order.
//!
//! Every output element is reduced in an order that depends on its own row alone. A batch therefore
//! gives bit for bit what its rows give one at a time, and threads change nothing: they share outputs, and of
//! attention spans of tokens that are added up in a fixed order.

mod activations;
mod add;
mod attention;
mod blocking;
mod buffers;
mod bytes;
mod choice;
mod columns;
mod compute;
mod exp;
mod gate;
mod isa;
mod kv;
mod matmul;
mod norm;
mod packed;
mod plain;
mod pool;
mod product;
mod roofline;
mod rope;
mod rows;
#[cfg(test)]
mod samples;
mod simd;
mod softmax;
mod sweep;
mod table;
mod vector;

pub use activations::{Activations, Rounding};
pub use add::{add, add_bias};
pub use attention::{Attending, Heads, attention};
pub use buffers::Buffer;
pub use bytes::{Bytes, Mapping};
pub use compute::Compute;
pub use gate::{gelu, gelu_tanh_gate, silu_gate};
pub use isa::Isa;
pub use kv::{BLOCK_TOKENS, KvBlock, KvFormat, KvPool, KvShape};
pub use matmul::matmul;
pub use norm::{layer_norm, rms_norm};
pub use packed::{Packed, Packing};
pub use product::product;
pub use roofline::{int8_peak, read_bandwidth};
pub use rope::{Angles, RopeLayout, rope};
pub use rows::{Format, Rows, ShapeError};
pub use softmax::softmax;
