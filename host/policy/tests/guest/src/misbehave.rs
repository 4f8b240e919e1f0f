//! What no policy should do.

use std::{hint, process, thread, time::Duration};

use crate::bindings::{
    signalbox::policy::experts,
    wasi::{
        config::store,
        logging::logging::{Level, log},
    },
};

/// Does what the setting `behave` says, or else what the text says; most words mean nothing.
pub(crate) fn misbehave(message: &str) {
    let setting = store::get("behave").ok().flatten();
    match setting.as_deref().unwrap_or(message) {
        "spin" => spin(),
        "eat" => eat(),
        "panic" => panics(),
        "exit" => process::exit(3),
        "recurse" => drop(recurse(u64::MAX)),
        "handles" => keep_handles(),
        "sleep" => thread::sleep(Duration::from_secs(100)),
        "flood" => (0..5_000).for_each(|_| log(Level::Info, "flood", "line\nforged line")),
        _ => {}
    }
}

fn spin() {
    loop {
        hint::spin_loop();
    }
}

fn eat() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(Vec::<u8>::with_capacity(1 << 20));
        hint::black_box(&eaten);
    }
}

#[expect(clippy::panic, reason = "that is the point")]
#[inline(never)]
fn panics() {
    panic!("boom");
}

fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { 1 + recurse(hint::black_box(depth - 1)) }
}

fn keep_handles() {
    let mut kept = Vec::new();
    loop {
        kept.extend(experts::menu());
    }
}
