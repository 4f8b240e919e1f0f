//! A chat template and a conversation, compiled and rendered.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signalbox_engine::fuzz::template(bytes));
