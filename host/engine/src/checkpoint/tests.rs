//! Checkpoints of every form, written here or copied from the toys, whole and broken.

mod changing;
mod containers;
mod files;
mod fuzz;
mod mends;
mod pack_files;
mod packings;
mod refusals;
mod small;

use std::{fs, path::Path};

use candle_core::{
    DType, Device,
    quantized::{GgmlDType, QTensor},
};
use serde_json::Value;
use signalbox_kernels::{Compute, Format, Isa, Rows};
use tempfile::TempDir;

use super::Checkpoint;
use crate::model::{Chunk, Model};
use small::{HEAD_DIM, Small, VOCAB, wave};

/// A copy of a toy expert's folder, to be broken.
fn copy(expert: &str) -> TempDir {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(expert);
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

/// What a small model says of every position of a fixed text, which leaves windows and short contexts.
fn logits_of(model: &Model) -> Vec<Vec<f32>> {
    const TOKENS: [u32; 12] = [3, 1, 4, 1, 5, 9, 2, 6, 31, 30, 0, 17];
    let vocab = model.spec().vocab_size;
    let tokens = TOKENS.map(|token| token % vocab);
    let mut cache = model.new_cache(tokens.len());
    let mut logits = Vec::new();
    let chunk = Chunk { cache: &mut cache, tokens: &tokens, wanted: 1, pictures: &[] };
    model.score(chunk, &mut |row| logits.push(row.to_vec()));
    logits
}

fn logits(path: &Path) -> Vec<Vec<f32>> {
    let model = Checkpoint::open(path).and_then(|checkpoint| checkpoint.load(&Compute::scalar()));
    logits_of(&model.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn every_block_format_decodes_as_candle_does() {
    let weights = candle_core::Tensor::from_vec(wave(1024, 0.7), (2, 512), &Device::Cpu).unwrap();
    let formats = [
        (GgmlDType::F32, Format::F32),
        (GgmlDType::F16, Format::F16),
        (GgmlDType::BF16, Format::Bf16),
        (GgmlDType::Q4_0, Format::Q4_0),
        (GgmlDType::Q4_1, Format::Q4_1),
        (GgmlDType::Q5_0, Format::Q5_0),
        (GgmlDType::Q5_1, Format::Q5_1),
        (GgmlDType::Q8_0, Format::Q8_0),
        (GgmlDType::Q4K, Format::Q4K),
        (GgmlDType::Q5K, Format::Q5K),
        (GgmlDType::Q6K, Format::Q6K),
    ];
    for (dtype, format) in formats {
        let packed = QTensor::quantize(&weights, dtype).unwrap();
        let theirs = packed.dequantize(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
        let rows = Rows::new(format, 2, 512, packed.data().unwrap().into_owned()).unwrap();
        for (row, theirs) in theirs.iter().enumerate() {
            let mut ours = vec![0.0; 512];
            rows.decode(row, &mut ours);
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() <= 1e-6, "{format}: {ours} for {theirs}");
            }
        }
    }
}

#[test]
fn weight_bytes_are_those_of_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let model = Small::llama();
    model.write_folder(folder.path());
    let bytes: usize = model.tensors.iter().map(|tensor| tensor.bytes.len()).sum();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.weight_bytes(), bytes as u64);
    let floats = DType::F32.size_in_bytes() as u64;
    assert_eq!(checkpoint.kv_bytes_per_token(Isa::Scalar), 2 * 2 * 2 * HEAD_DIM as u64 * floats);
    assert_eq!(checkpoint.spec().vocab_size as usize, VOCAB);
}
