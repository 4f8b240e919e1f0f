//! The WIT contract and its prose change together: `wit/README.md` carries a fingerprint of the
//! `.wit` files, so nobody edits one without opening the other.

use crate::tree::{files, read};

/// 64-bit FNV-1a over the names and texts of all `.wit` files.
fn fingerprint() -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for source in files(".wit") {
        for byte in source.path.bytes().chain(source.text.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[test]
fn the_prose_was_read_when_the_contract_changed() {
    let expected = format!("Contract fingerprint: `{}`", fingerprint());
    assert!(
        read("wit/README.md").contains(&expected),
        "the contract changed: read wit/README.md again, mend it, and let it end with\n{expected}"
    );
}
