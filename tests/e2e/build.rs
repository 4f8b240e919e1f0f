//! Compiles the misbehaving guest, so that the suite has its component.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guests = signalbox_build::script::components(&workspace, &["guests"])?;
    println!("cargo::rustc-env=GUESTS_COMPONENT={}", guests[0].path.display());
    Ok(())
}
