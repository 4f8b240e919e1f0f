//! Compiles the misbehaving guests, so that the suite has their components.

use std::path::{Path, PathBuf};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for watched in ["tests/guests", "guest-sdk", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it for build scripts"));
    let guests = signalbox_build::components(&root, &["guests", "probe-fails"], &out.join("guests"))
        .unwrap_or_else(|error| panic!("{error}"));
    for (guest, variable) in guests.iter().zip(["GUESTS_COMPONENT", "PROBE_FAILS_COMPONENT"]) {
        println!("cargo::rustc-env={variable}={}", guest.path.display());
    }
}
