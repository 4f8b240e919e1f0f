//! An upload, from bytes to a judgement of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signalbox_policy::fuzz::upload(bytes));
