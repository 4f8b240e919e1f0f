//! Broken checkpoints are refused by name, and a model is the same model in either container.

use std::{collections::HashMap, fs, path::Path};

use candle_core::{
    DType, Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file},
};
use serde_json::{Value, json};
use signalbox_kernels::Rows;
use tempfile::TempDir;

use super::{Checkpoint, Kind, catalogue::Element};
use crate::model::Slot;

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

/// Breaks a toy and expects the kind of fault and a part of its text.
fn check_refused(expert: &str, damage: impl FnOnce(&Path), kind: Kind, expect: &str) {
    let folder = copy(expert);
    damage(folder.path());
    let error = Checkpoint::open(folder.path()).err().expect(expect);
    assert!(error.to_string().contains(expect) && error.kind == kind, "{:?}: {error}", error.kind);
}

#[test]
fn missing_and_truncated_files_are_named() {
    let remove =
        |file: &'static str| move |folder: &Path| fs::remove_file(folder.join(file)).unwrap();
    check_refused("qwen_coder", remove("config.json"), Kind::Missing, "config.json: there is no");
    check_refused("qwen_coder", remove("model.safetensors"), Kind::Missing, "holds neither");
    let shard = "model-00002-of-00002.safetensors";
    check_refused("mistral_balanced", remove(shard), Kind::Missing, "the shard is missing");
    let cut = |bytes: u64| {
        move |folder: &Path| {
            let file = fs::File::options().write(true).open(folder.join("model.safetensors"));
            file.unwrap().set_len(bytes).unwrap();
        }
    };
    check_refused("qwen_coder", cut(100_000), Kind::Truncated, "ends after 100000 bytes where");
    check_refused("qwen_coder", cut(100), Kind::Truncated, "ends after 100 bytes where");
    check_refused("qwen_coder", cut(0), Kind::Malformed, "header too small");
    let pointer = |folder: &Path| {
        let text = "version https://git-lfs.github.com/spec/v1\n";
        fs::write(folder.join("model.safetensors"), text).unwrap();
    };
    check_refused("qwen_coder", pointer, Kind::Missing, "git lfs pull");
    assert_eq!(Checkpoint::open(Path::new("/no/such/folder")).err().unwrap().kind, Kind::Missing);
}

/// Changes one value of a toy's `config.json`.
fn set(key: &'static str, value: Value) -> impl FnOnce(&Path) {
    move |folder| edit(folder, "config.json", |config| config[key] = value)
}

#[test]
fn configurations_that_can_not_be_run_are_refused_by_name() {
    let check =
        |key, value, kind, expect| check_refused("qwen_coder", set(key, value), kind, expect);
    let (unsupported, malformed) = (Kind::Unsupported, Kind::Malformed);
    let mamba = json!(["MambaForCausalLM"]);
    check("architectures", mamba, unsupported, "'MambaForCausalLM' is not supported");
    check("hidden_act", json!("relu"), unsupported, "activation 'relu'");
    let yarn = json!({ "type": "yarn", "factor": 4.0 });
    check("rope_scaling", yarn, unsupported, "rotary scaling 'yarn'");
    check("num_hidden_layers", json!(100_000), malformed, "'num_hidden_layers' is 100000");
    check(
        "num_hidden_layers",
        json!(4),
        Kind::Missing,
        "layers.3.input_layernorm.weight' is missing",
    );
    check("vocab_size", json!(7), malformed, "'model.embed_tokens.weight' has the shape");
    check("num_key_value_heads", json!(3), unsupported, "3 key heads");
    check("tie_word_embeddings", json!(false), Kind::Missing, "'lm_head.weight' is missing");
    check("intermediate_size", json!(256), unsupported, "not AWQ's gemm layout");
    for method in ["gptq", "compressed-tensors", "fp8"] {
        let packing = json!({ "quant_method": method, "bits": 4 });
        check("quantization_config", packing, unsupported, method);
    }
    let gemv = json!({ "quant_method": "awq", "bits": 4, "version": "gemv" });
    check("quantization_config", gemv, unsupported, "AWQ gemv with 4 bits");
}

#[test]
fn an_index_is_held_against_its_shards() {
    let index = "model.safetensors.index.json";
    let damage = |tensor: &'static str, shard: &'static str| {
        move |folder: &Path| edit(folder, index, |index| index["weight_map"][tensor] = json!(shard))
    };
    let shard = "model-00001-of-00002.safetensors";
    let nowhere = damage("ghost.weight", shard);
    check_refused("mistral_balanced", nowhere, Kind::Malformed, "promises tensor 'ghost.weight'");
    let outside = damage("model.norm.weight", "../evil.safetensors");
    check_refused("mistral_balanced", outside, Kind::Malformed, "outside of its folder");
}

#[test]
fn hostile_gguf_headers_are_refused() {
    let check = |bytes: &[u8], kind, expect: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.gguf");
        fs::write(&file, bytes).unwrap();
        let error = Checkpoint::open(&file).err().unwrap();
        assert!(error.kind == kind && error.to_string().contains(expect), "{error}");
    };
    let header = |tensors: u64, values: u64| {
        let counts = [tensors.to_le_bytes(), values.to_le_bytes()].concat();
        [&b"GGUF"[..], &3u32.to_le_bytes(), &counts].concat()
    };
    check(b"not a model", Kind::Malformed, "is not a GGUF file");
    check(&header(u64::MAX, u64::MAX), Kind::Truncated, "cut off");
    check(&header(1, 0), Kind::Truncated, "cut off");
    let endless_name = [header(0, 1), u64::MAX.to_le_bytes().to_vec(), vec![b'x'; 64]].concat();
    check(&endless_name, Kind::Truncated, "cut off");
    check(&header(0, 0), Kind::Unsupported, "the architecture '' is not supported");
}

fn wave(rows: usize, cols: usize, step: f32) -> Tensor {
    let numbers: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * step).sin() * 0.3).collect();
    Tensor::from_vec(numbers, (rows, cols), &Device::Cpu).unwrap()
}

#[test]
fn every_block_format_decodes_as_candle_does() {
    let weights = wave(2, 512, 0.7);
    let formats = [
        GgmlDType::F32,
        GgmlDType::F16,
        GgmlDType::BF16,
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
    ];
    for dtype in formats {
        let packed = QTensor::quantize(&weights, dtype).unwrap();
        let theirs = packed.dequantize(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
        let Element::Weights(format) = dtype.into() else { panic!("{dtype:?}") };
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

const HIDDEN: usize = 64;
const HEAD_DIM: usize = 16;

/// The tensors of a small llama: their names in both containers, and their numbers.
fn llama() -> Vec<(&'static str, &'static str, Tensor)> {
    let norm = || (wave(1, HIDDEN, 0.13) + 1.0).unwrap().squeeze(0).unwrap();
    let layer = "model.layers.0.";
    let of = |name: &str| -> &'static str { format!("{layer}{name}.weight").leak() };
    vec![
        ("model.embed_tokens.weight", "token_embd.weight", wave(32, HIDDEN, 0.37)),
        ("model.norm.weight", "output_norm.weight", norm()),
        ("lm_head.weight", "output.weight", wave(32, HIDDEN, 0.41)),
        (of("input_layernorm"), "blk.0.attn_norm.weight", norm()),
        (of("post_attention_layernorm"), "blk.0.ffn_norm.weight", norm()),
        (of("self_attn.q_proj"), "blk.0.attn_q.weight", wave(HIDDEN, HIDDEN, 0.43)),
        (of("self_attn.k_proj"), "blk.0.attn_k.weight", wave(2 * HEAD_DIM, HIDDEN, 0.47)),
        (of("self_attn.v_proj"), "blk.0.attn_v.weight", wave(2 * HEAD_DIM, HIDDEN, 0.53)),
        (of("self_attn.o_proj"), "blk.0.attn_output.weight", wave(HIDDEN, HIDDEN, 0.59)),
        (of("mlp.gate_proj"), "blk.0.ffn_gate.weight", wave(96, HIDDEN, 0.61)),
        (of("mlp.up_proj"), "blk.0.ffn_up.weight", wave(96, HIDDEN, 0.67)),
        (of("mlp.down_proj"), "blk.0.ffn_down.weight", wave(HIDDEN, 96, 0.71)),
    ]
}

fn write_folder(folder: &Path) {
    let tensors: HashMap<_, _> = llama().into_iter().map(|(name, _, t)| (name, t)).collect();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN, "intermediate_size": 96,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 32, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// What llama.cpp's converter does to queries and keys: halves become neighbours.
fn interleaved(weight: &Tensor) -> Tensor {
    let (rows, cols) = weight.dims2().unwrap();
    let heads = weight.reshape((rows / HEAD_DIM, 2, HEAD_DIM / 2, cols)).unwrap();
    heads.transpose(1, 2).unwrap().contiguous().unwrap().reshape((rows, cols)).unwrap()
}

fn write_gguf(file: &Path) {
    use gguf_file::Value::{F32, String, U32};
    let reordered = |name: &str| name.contains("attn_q.") || name.contains("attn_k.");
    let packed = |(_, name, tensor): (_, &'static str, Tensor)| {
        let tensor = if reordered(name) { interleaved(&tensor) } else { tensor };
        (name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap())
    };
    let tensors: Vec<_> = llama().into_iter().map(packed).collect();
    let metadata = [
        ("general.architecture", String("llama".to_owned())),
        ("llama.context_length", U32(128)),
        ("llama.embedding_length", U32(HIDDEN as u32)),
        ("llama.block_count", U32(1)),
        ("llama.feed_forward_length", U32(96)),
        ("llama.attention.head_count", U32(4)),
        ("llama.attention.head_count_kv", U32(2)),
        ("llama.attention.layer_norm_rms_epsilon", F32(1e-5)),
        ("llama.rope.dimension_count", U32(HEAD_DIM as u32)),
    ];
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    gguf_file::write(&mut fs::File::create(file).unwrap(), &metadata, &tensors).unwrap();
}

#[test]
fn a_llama_is_the_same_in_a_folder_and_in_a_gguf_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    write_folder(folder.path());
    write_gguf(&file);
    let logits = |path: &Path, stored: &str| {
        let checkpoint = Checkpoint::open(path).unwrap();
        assert_eq!(checkpoint.stored().to_string(), stored);
        let model = checkpoint.load().unwrap();
        let mut cache = model.new_cache(8);
        let tokens = &[3, 1, 4, 1, 5, 9];
        model.forward(&mut [Slot { cache: &mut cache, tokens, pictures: &[] }]).remove(0)
    };
    let (ours, theirs) = (logits(folder.path(), "f32"), logits(&file, "gguf f32"));
    let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-5, "the two differ by {apart}");
    assert!(ours.iter().any(|logit| logit.abs() > 0.1), "the model says nothing: {ours:?}");
}

#[test]
fn weight_bytes_are_those_of_the_loaded_model() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let elements: usize = llama().iter().map(|(_, _, tensor)| tensor.elem_count()).sum();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.weight_bytes(), (elements * DType::F32.size_in_bytes()) as u64);
    assert_eq!(checkpoint.spec().kv_bytes_per_token(), 2 * 2 * HEAD_DIM as u64 * 4);
}
