//! Compiles the misbehaving guests, so that the suite has their components.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guests = signalbox_build::script::components(&workspace, &["guests", "probe-fails"])?;
    for (guest, variable) in guests.iter().zip(["GUESTS_COMPONENT", "PROBE_FAILS_COMPONENT"]) {
        println!("cargo::rustc-env={variable}={}", guest.path.display());
    }
    Ok(())
}
