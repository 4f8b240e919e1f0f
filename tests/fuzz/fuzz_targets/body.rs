//! The body of a chat call or a completion, from bytes to a call.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signalbox_server::fuzz::body(bytes));
