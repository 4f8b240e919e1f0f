//! Where the operator trusts keys, only what is signed by one of them comes in, by every way in.

use std::{fs, io::Cursor};

use minisign::KeyPair;
use serde_json::json;

use crate::{
    host::{Host, config, example},
    journey::{command, signalbox},
};

fn sign(pair: &KeyPair, component: &[u8]) -> String {
    let signed = minisign::sign(None, &pair.sk, Cursor::new(component), None, None);
    signed.unwrap().into_string()
}

#[test]
fn where_keys_are_trusted_only_what_they_signed_comes_in() {
    let (trusted, stranger) = (pair(), pair());
    let dir = tempfile::tempdir().unwrap();
    let guard = dir.path().join("guard.wasm");
    fs::write(&guard, example("prompt-guard")).unwrap();
    fs::write(dir.path().join("guard.wasm.minisig"), sign(&trusted, example("prompt-guard")))
        .unwrap();
    let mut signed_only = config();
    signed_only["policies"]["signing_keys"] = json!([trusted.pk.to_base64()]);
    signed_only["policies"]["components"] = json!({"guard": guard});
    let host = Host::start_with(signed_only);
    assert_eq!(host.admin_get("/policies/guard")["name"], "guard", "signed, beside the file");
    let router = host.chat("auto", "Hello!");
    assert!(router.header("x-signalbox-route").starts_with("route-by-domain@"), "built in");

    let unsigned = host.upload("mine", example("round-robin"));
    assert_eq!((unsigned.status, unsigned.error_code().as_str()), (403, "policy_unsigned"));
    assert!(unsigned.text.contains("minisign -Sm"), "{}", unsigned.text);
    assert!(!host.admin_get("/policies").to_string().contains("mine"));

    let file = dir.path().join("mine.wasm");
    fs::write(&file, example("round-robin")).unwrap();
    let refused = |args: &[&str]| {
        let output = command(&host, dir.path(), args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["policy", "push", "mine.wasm"]).contains("has no signature"));
    fs::write(dir.path().join("other.minisig"), sign(&stranger, example("round-robin"))).unwrap();
    let theirs = refused(&["policy", "push", "mine.wasm", "--signature", "other.minisig"]);
    assert!(theirs.contains("not trusted here"), "{theirs}");
    fs::write(dir.path().join("mine.wasm.minisig"), sign(&trusted, example("round-robin")))
        .unwrap();
    signalbox(&host, dir.path(), &["policy", "push", "mine.wasm", "--activate"]);
    assert!(host.chat("auto", "Hello!").header("x-signalbox-route").starts_with("mine@"));
}

fn pair() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}
