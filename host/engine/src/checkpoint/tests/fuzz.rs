//! Whatever bytes a checkpoint has: it loads, or an error names the file. Nothing panics, hangs or takes
//! memory that the file does not have.
//!
//! As tests these targets run for about a second each on edits picked at random. Under a fuzzer they run
//! until stopped, and edits are picked by what they reach:
//! `cargo +nightly bolero test -p signalbox-engine checkpoint::tests::fuzz::gguf`.

use signalbox_kernels::Compute;
use std::{fs, path::Path, time::Duration};

use super::{
    super::Checkpoint,
    files::{framed, header, safetensors},
    logits_of,
    small::Small,
};

/// Models of more are opened and not loaded.
const LOADED_BYTES_MAX: u64 = 16 << 20;
/// Edits of one run.
const EDITS_MAX: usize = 8;
const SMOKE: Duration = Duration::from_secs(1);
/// Bytes an edit is made of.
type Edit = [u8; 6];

/// Numbers, and what is none, at which readers stumble.
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "64",
    "1e999",
    "-0.0",
    "0.5",
    "4294967295",
    "4294967296",
    "65537",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "null",
    "true",
    "[]",
    "{}",
    "\"x\"",
    "[0,0]",
    "\"gemv\"",
    "\"I32\"",
    "\"F16\"",
    "\"longrope\"",
    "\"llama3\"",
];
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    8,
    9,
    31,
    255,
    1 << 15,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 61,
    i64::MAX as u64,
    u64::MAX,
];

/// Makes edits to a text or to bytes. What an edit is made of means something for any value, so that
/// every input is an attempt.
fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for [operation, low, high, value, more, length] in edits.iter().take(EDITS_MAX) {
        let at = usize::from(u16::from_le_bytes([*low, *high]));
        // Headers stand at the beginning: look there more often.
        let at = if *operation & 0x80 == 0 { at % 1024 } else { at };
        let at = at % bytes.len().max(1);
        let end = (at + usize::from(*length)).min(bytes.len());
        match operation % 8 {
            0 if at < bytes.len() => bytes[at] = *value,
            1 => {
                let number = NUMBERS[usize::from(*value) % NUMBERS.len()].to_le_bytes();
                let width = if more % 2 == 0 { 4 } else { 8 };
                let end = (at + width).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, std::iter::repeat_n(*value, usize::from(*length)))),
            5 => {
                let copy = bytes[at..end].to_vec();
                let to = (at + usize::from(*value)).min(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => replace_value(&mut bytes, at, WORDS[usize::from(*value) % WORDS.len()]),
        }
    }
    bytes
}

/// Replaces the next JSON value behind `at`, if it is a scalar.
fn replace_value(bytes: &mut Vec<u8>, at: usize, word: &str) {
    let Some(colon) = bytes[at..].iter().position(|byte| b":[,".contains(byte)) else { return };
    let start = at + colon + 1;
    let length = bytes[start..].iter().position(|byte| b",]}".contains(byte));
    let end = length.map_or(bytes.len(), |length| start + length);
    bytes.splice(start..end, word.bytes());
}

/// Opens a checkpoint, and loads and runs it when it is small.
fn check(path: &Path, folder: &Path) {
    let named = |text: String| {
        assert!(text.starts_with(&folder.display().to_string()), "'{text}' names no file");
    };
    match Checkpoint::open(path) {
        Err(error) => named(error.to_string()),
        Ok(checkpoint) if checkpoint.weight_bytes() > LOADED_BYTES_MAX => {}
        Ok(checkpoint) => match checkpoint.load(&Compute::serving()) {
            Err(error) => named(error.to_string()),
            Ok(model) => drop(logits_of(&model)),
        },
    }
}

fn models() -> Vec<Small> {
    vec![Small::llama(), Small::qwen2(), Small::phi3(), Small::gemma3(), Small::cohere()]
}

/// A number that picks a seed, and edits to it.
fn parts(input: &[u8]) -> (usize, &[Edit]) {
    let (seed, edits) = input.split_first().unwrap_or((&0, &[]));
    (usize::from(*seed), edits.as_chunks().0)
}

#[test]
fn gguf() {
    let seeds: Vec<Vec<u8>> = models().iter().map(Small::gguf_bytes).collect();
    let folder = tempfile::tempdir().unwrap();
    bolero::check!().with_test_time(SMOKE).for_each(|input: &[u8]| {
        let (folder, (seed, edits)) = (folder.path(), parts(input));
        let file = folder.join("model.gguf");
        fs::write(&file, edited(seeds[seed % seeds.len()].clone(), edits)).unwrap();
        check(&file, folder);
    });
}

#[test]
fn config() {
    let seeds = models();
    let folder = tempfile::tempdir().unwrap();
    bolero::check!().with_test_time(SMOKE).for_each(|input: &[u8]| {
        let (folder, (seed, edits)) = (folder.path(), parts(input));
        let model = &seeds[seed % seeds.len()];
        model.write_folder(folder);
        let config = edited(model.config.to_string().into_bytes(), edits);
        fs::write(folder.join("config.json"), config).unwrap();
        check(folder, folder);
    });
}

#[test]
fn safetensors_header() {
    let seeds = models();
    let folder = tempfile::tempdir().unwrap();
    bolero::check!().with_test_time(SMOKE).for_each(|input: &[u8]| {
        let (folder, (seed, edits)) = (folder.path(), parts(input));
        let model = &seeds[seed % seeds.len()];
        model.write_folder(folder);
        let whole = safetensors(&model.tensors);
        let json = serde_json::Value::Object(header(&model.tensors)).to_string();
        let bytes = if seed & 0x80 == 0 {
            edited(whole, edits) // the length in front included
        } else {
            let data = whole[8 + json.len()..].to_vec();
            let json = edited(json.into_bytes(), edits);
            framed(&String::from_utf8_lossy(&json), &data)
        };
        fs::write(folder.join("model.safetensors"), bytes).unwrap();
        check(folder, folder);
    });
}

#[test]
fn index() {
    let model = Small::llama();
    let names = model.tensors.iter().enumerate();
    let shards = names.map(|(at, t)| format!(r#""{}":"{}.safetensors""#, t.name, at % 2));
    let shards: Vec<String> = shards.collect();
    let json = format!(r#"{{"weight_map":{{{}}}}}"#, shards.join(","));
    let folder = tempfile::tempdir().unwrap();
    bolero::check!().with_test_time(SMOKE).for_each(|input: &[u8]| {
        let (folder, (_, edits)) = (folder.path(), parts(input));
        fs::write(folder.join("config.json"), model.config.to_string()).unwrap();
        for half in 0..2 {
            let tensors: Vec<_> = model.tensors.iter().skip(half).step_by(2).cloned().collect();
            fs::write(folder.join(format!("{half}.safetensors")), safetensors(&tensors)).unwrap();
        }
        let index = folder.join("model.safetensors.index.json");
        fs::write(index, edited(json.clone().into_bytes(), edits)).unwrap();
        check(folder, folder);
    });
}
