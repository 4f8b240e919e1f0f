//! What a guest answers: decisions, edits, actions on a reply.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signalbox_policy::fuzz::answer(bytes));
