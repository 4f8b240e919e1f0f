//! What the machine allows, measured with the threads and instructions of serving.

use signalbox_kernels::{Compute, Isa, int8_peak, read_bandwidth};

/// The bounds of every speed on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roofline {
    /// Threads that measured together.
    pub threads: usize,
    /// The instructions that serving uses: the fastest that kernels are written for.
    pub isa: &'static str,
    /// Bytes read per second, in order.
    pub read_bytes_per_second: f64,
    /// Operations on bytes per second; a multiplication and an addition are two.
    pub int8_operations_per_second: f64,
}

impl Roofline {
    /// Measures for some seconds. `threads` are at least one.
    pub fn measure(threads: usize) -> Self {
        let isa = Isa::best();
        let compute = Compute::new(isa, threads).unwrap_or_else(Compute::scalar);
        Self {
            threads: compute.threads(),
            isa: isa.name(),
            read_bytes_per_second: read_bandwidth(&compute),
            int8_operations_per_second: int8_peak(&compute),
        }
    }
}
