//! What comes from strangers, held within bounds: [`clean`] makes their text fit for logs, headers
//! and errors; [`Worker`] does work on their input (compiling a component, rendering a chat
//! template) in a child process whose memory and time are limited by the system; [`limits!`] is how
//! each bound is declared, once.
//!
//! Both engine and policies need it, and neither may know the other, so it stands below them.

mod child;
mod limit;
mod text;
mod worker;

pub use child::serve;
pub use limit::{Bounded, GIB, KIB, Limit, MIB, Number, OutOfBounds, TIB};
pub use text::{LINE_BYTES, clean, clean_lines, misleads};
pub use worker::{Bounds, Failure, Program, Worker};
