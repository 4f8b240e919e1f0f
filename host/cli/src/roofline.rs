//! `signalbox roofline`: what this machine's memory and cores allow.

use anyhow::Result;
use serde_json::{Value, json};
use signalbox_engine::{Roofline, cpu_name};

use crate::{
    args,
    runtime::cores,
    term::{Spinner, say, say_json},
};

/// Measures and prints.
pub(crate) fn run(args: &args::Roofline) -> Result<()> {
    let roofline = measure(args.threads);
    match args.json {
        true => say_json(&as_json(&roofline)),
        false => say_roofline(&roofline),
    }
    Ok(())
}

/// Measures with so many threads, or one per core.
pub(crate) fn measure(threads: Option<u16>) -> Roofline {
    let _measuring = Spinner::start("measuring memory and cores");
    Roofline::measure(threads.map_or_else(cores, usize::from))
}

/// In two lines.
pub(crate) fn say_roofline(roofline: &Roofline) {
    say!("{}, {}, {} threads", cpu_name(), roofline.isa, roofline.threads);
    say!(
        "reads {:.1} GB/s, int8 {:.2} TOPS",
        roofline.read_bytes_per_second / 1e9,
        roofline.int8_operations_per_second / 1e12
    );
}

fn as_json(roofline: &Roofline) -> Value {
    json!({
        "cpu": cpu_name(),
        "isa": roofline.isa,
        "threads": roofline.threads,
        "read_gb_per_second": roofline.read_bytes_per_second / 1e9,
        "int8_tops": roofline.int8_operations_per_second / 1e12,
    })
}
