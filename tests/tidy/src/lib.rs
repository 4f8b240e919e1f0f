//! The house rules a machine can check, as ordinary tests: who may depend on whom, how large a file
//! may grow, where `unsafe` may stand, what every file begins with, and that the contract's prose
//! is touched whenever the contract is.
//!
//! A rule that fails here names the file and the rule; there are no exceptions to add.
#![cfg(test)]

mod circles;
mod contract;
mod documents;
mod layering;
mod lengths;
mod sources;
mod tree;
