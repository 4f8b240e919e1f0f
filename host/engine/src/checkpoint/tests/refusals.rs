//! What can't be read is refused by name: the file, the tensor and the reason, and nothing panics.

use signalbox_kernels::Compute;
use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    super::{Checkpoint, CheckpointError, Kind},
    copy, edit,
    files::{Gguf, Tensor, framed, safetensors},
    small,
};

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
    check_refused("qwen_coder", cut(0), Kind::Malformed, "it has 0 bytes");
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
    let pad = json!(f64::from(f32::MAX) * 1e10);
    check("rms_norm_eps", pad, malformed, "'rms_norm_eps' is 3.4028");
    check("rope_theta", json!("1e6"), malformed, "'rope_theta' is \"1e6\" where a number");
}

#[test]
fn packings_that_can_not_be_read_are_refused_by_name() {
    let check = |packing: Value, expect: &str| {
        let set = set("quantization_config", packing);
        check_refused("qwen_coder", set, Kind::Unsupported, expect);
    };
    for method in ["gptq", "fp8", "bitsandbytes", "quark"] {
        let expect = format!("the packing '{method}' is not supported");
        check(json!({ "quant_method": method, "bits": 4 }), &expect);
    }
    for version in ["gemv_fast", "marlin", "exllama", "llm-awq"] {
        let packing = json!({ "quant_method": "awq", "bits": 4, "version": version });
        check(packing, &format!("AWQ {version} with 4 bits is not supported"));
    }
    check(json!({ "quant_method": "awq", "bits": 3 }), "AWQ gemm with 3 bits is not supported");
    check(json!({ "quant_method": "awq", "backend": "llm-awq" }), "AWQ llm-awq with 4 bits");
    let gemv = json!({ "quant_method": "awq", "version": "gemv" });
    check(gemv, "are not AWQ's gemv layout of it in groups of 128");
    let compressed = |changes: Value| {
        let mut packing = json!({ "quant_method": "compressed-tensors" });
        packing.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        packing
    };
    for format in ["int-quantized", "float-quantized", "nvfp4-pack-quantized", "marlin-24"] {
        let expect = format!("compressed-tensors '{format}' is not supported");
        check(compressed(json!({ "format": format })), &expect);
    }
    let sparse = json!({ "sparsity_config": { "format": "sparse-24-bitmask" } });
    check(compressed(sparse), "compressed-tensors sparsity 'sparse-24-bitmask' is not");
    let rotated = json!({ "transform_config": { "config_groups": { "u": {} } } });
    check(compressed(rotated), "compressed-tensors with transforms of weights");
    let weights = |weights: Value| {
        compressed(json!({ "config_groups": { "group_0": { "weights": weights } } }))
    };
    check(weights(json!({ "num_bits": 4, "actorder": "group" })), "with act-order");
    check(weights(json!({ "num_bits": 4, "strategy": "block" })), "with the strategy 'block'");
    check(weights(json!({ "num_bits": 4, "type": "float" })), "weights of 4 bits of 'float'");
    check(weights(json!({ "num_bits": 3, "type": "int" })), "weights of 3 bits of 'int'");
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
    let absolute = damage("model.norm.weight", "/etc/passwd");
    check_refused("mistral_balanced", absolute, Kind::Malformed, "outside of its folder");
    let itself = damage("model.norm.weight", index);
    check_refused("mistral_balanced", itself, Kind::Malformed, "index.json: is not a safetensors");
    let above = damage("model.norm.weight", "..");
    check_refused("mistral_balanced", above, Kind::Malformed, "outside of its folder");
    let none = |folder: &Path| edit(folder, index, |index| index["weight_map"] = json!({}));
    check_refused("mistral_balanced", none, Kind::Malformed, "names no shards");
    let huge = |folder: &Path| {
        let file = fs::File::options().write(true).open(folder.join(index));
        file.unwrap().set_len(1 << 40).unwrap();
    };
    check_refused("mistral_balanced", huge, Kind::Malformed, "is larger than 16777216 bytes");
    let twice = |folder: &Path| {
        fs::copy(folder.join(shard), folder.join("again.safetensors")).unwrap();
        edit(folder, index, |index| index["weight_map"]["ghost"] = json!("again.safetensors"));
    };
    check_refused("mistral_balanced", twice, Kind::Malformed, "has, too");
}

/// Writes a file and expects what is said of it when it is opened or, at last, loaded.
fn check_gguf(bytes: &[u8], kind: Kind, expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    fs::write(&file, bytes).unwrap();
    let loaded = Checkpoint::open(&file)
        .and_then(|checkpoint| checkpoint.load(&Compute::serving()).map(drop));
    check_error(loaded.err(), &file, kind, expect);
}

fn check_error(error: Option<CheckpointError>, file: &Path, kind: Kind, expect: &str) {
    let error = error.unwrap_or_else(|| panic!("accepted, though: {expect}"));
    let text = error.to_string();
    assert!(text.starts_with(&file.display().to_string()), "{text} does not name the file");
    assert!(error.kind == kind && text.contains(expect), "{kind:?}, {expect}\nis not\n{error:?}");
}

#[test]
fn hostile_gguf_headers_are_refused() {
    let check = check_gguf;
    let header = |tensors: u64, values: u64| {
        let counts = [tensors.to_le_bytes(), values.to_le_bytes()].concat();
        [&b"GGUF"[..], &3u32.to_le_bytes(), &counts].concat()
    };
    check(b"not a model", Kind::Malformed, "is not a GGUF file");
    check(b"", Kind::Malformed, "is not a GGUF file");
    check(b"GGUF\x04\0\0\0", Kind::Unsupported, "has GGUF's version 4, not 2 or 3");
    check(b"GGUF\0\0\0\x03", Kind::Unsupported, "is big-endian");
    check(&header(u64::MAX, u64::MAX), Kind::Truncated, "cut off");
    check(&header(1, 0), Kind::Truncated, "cut off");
    let endless_name = [header(0, 1), u64::MAX.to_le_bytes().to_vec(), vec![b'x'; 64]].concat();
    check(&endless_name, Kind::Truncated, "cut off");
    check(&header(0, 0), Kind::Unsupported, "the architecture '' is not supported");
    let endless_list = Gguf::default().raw("a", 9, &[&6u32.to_le_bytes()[..], &[255; 8]].concat());
    check(&endless_list.bytes(), Kind::Truncated, "cut off");
    let nested = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat().repeat(9);
    check(&Gguf::default().raw("a", 9, &nested).bytes(), Kind::Malformed, "nested too deeply");
    check(&Gguf::default().raw("a", 77, &[0; 9]).bytes(), Kind::Malformed, "'a' has the type 77");
    let twice = Gguf::default().count("a", 1).count("a", 2);
    check(&twice.bytes(), Kind::Malformed, "has the key 'a' twice");
    let odd = Gguf::default().count("general.alignment", 0);
    check(&odd.bytes(), Kind::Malformed, "'general.alignment' is 0, not a power of two");
    let part = Gguf::default().count("split.count", 3);
    check(&part.bytes(), Kind::Unsupported, "is one of 3 parts of a model");
}

#[test]
fn hostile_gguf_tensors_are_refused() {
    let check = check_gguf;
    let listed = |shape: &[usize], kind: u32, offset: u64| {
        Gguf::default().listed("t", shape, kind, offset).bytes()
    };
    let far = [usize::MAX / 2, 8];
    check(&listed(&far, 0, 0), Kind::Malformed, "tensor 't' has the absurd shape");
    check(&listed(&[33], 2, 0), Kind::Malformed, "tensor 't' has the absurd shape [33]");
    check(&listed(&[8], 0, u64::MAX - 7), Kind::Malformed, "absurd");
    check(&listed(&[8], 0, 1 << 40), Kind::Truncated, "tensor 't' reaches to byte 1099");
    check(&listed(&[1; 5], 0, 0), Kind::Malformed, "tensor 't' has 5 sides");
    let two = |name: &str, offset| {
        let file = Gguf::default().tensor("t", &[64], 0, &[0; 256]);
        file.listed(name, &[8], 0, offset).bytes()
    };
    check(&two("u", 128), Kind::Malformed, "its tensors 't' and 'u' overlap");
    check(&two("t", 128), Kind::Malformed, "has the tensor 't' twice");
}

#[test]
fn gguf_types_that_are_not_read_are_refused_by_tensor_and_type() {
    for (kind, name) in [(10, "Q2_K"), (15, "Q8_K"), (23, "IQ4_XS"), (35, "TQ2_0"), (39, "MXFP4")] {
        let model = small::Small::llama().without("lm_head.weight");
        let bytes = model.gguf.clone().listed("output.weight", &[32, 64], kind, 0);
        let bytes = model.with_gguf(bytes).gguf_bytes();
        let expect = format!("tensor 'output.weight' holds {name}, which is not supported");
        check_gguf(&bytes, Kind::Unsupported, &expect);
    }
    let capped = small::Small::gemma3();
    let gguf = capped.gguf.clone().float("gemma3.final_logit_softcapping", 30.0);
    let bytes = capped.with_gguf(gguf).gguf_bytes();
    check_gguf(&bytes, Kind::Unsupported, "capped logits are not supported");
    let factors = |factor: f32, count: usize| {
        let llama = small::Small::llama();
        let bytes = factor.to_le_bytes().repeat(count);
        let gguf = llama.gguf.clone().tensor("rope_freqs.weight", &[count], 0, &bytes);
        llama.with_gguf(gguf).gguf_bytes()
    };
    check_gguf(&factors(0.0, 8), Kind::Unsupported, "'rope_freqs.weight' holds factors that are");
    check_gguf(&factors(1.0, 4096), Kind::Malformed, "'rope_freqs.weight' holds f32 of the shape");
    let endless = small::Small::llama();
    let gguf = endless.gguf.clone().float("llama.rope.scaling.factor", f32::INFINITY);
    let gguf = gguf.text("llama.rope.scaling.type", "linear");
    let bytes = endless.with_gguf(gguf).gguf_bytes();
    check_gguf(&bytes, Kind::Malformed, "'rope_scaling.factor' is \"inf\" where a number");
}

/// Opens and loads a folder with this weight file.
fn check_weights(bytes: &[u8], kind: Kind, expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    small::Small::llama().write_folder(folder.path());
    let file = folder.path().join("model.safetensors");
    fs::write(&file, bytes).unwrap();
    let loaded =
        Checkpoint::open(folder.path()).and_then(|c| c.load(&Compute::serving()).map(drop));
    check_error(loaded.err(), &file, kind, expect);
}

/// Opens and loads a folder whose weight file has this header and so many bytes behind it.
fn check_header(header: &str, data: usize, kind: Kind, expect: &str) {
    check_weights(&framed(header, &vec![0; data]), kind, expect);
}

/// One tensor in a header of safetensors.
fn entry(name: &str, shape: &str, from: u64, to: u64) -> String {
    format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
}

fn of(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(","))
}

#[test]
fn hostile_safetensors_headers_are_refused() {
    let check = check_header;
    let malformed = Kind::Malformed;
    let [a, b] = [entry("a", "[2]", 0, 8), entry("b", "[1]", 8, 12)];
    check(&of(&[a.clone(), entry("b", "[2]", 4, 12)]), 12, malformed, "tensor 'b' lies at bytes 4");
    check(
        &of(&[a.clone(), entry("b", "[1]", 12, 16)]),
        16,
        malformed,
        "tensor 'b' lies at bytes 12",
    );
    check(
        &of(&[a.clone(), entry("b", "[1]", 8, 4)]),
        12,
        malformed,
        "tensor 'b' lies at bytes 8 to 4",
    );
    check(&of(&[a.clone(), a.clone()]), 8, malformed, "it has 'a' twice");
    check(
        &of(&[entry("a", "[3]", 0, 8)]),
        8,
        malformed,
        "tensor 'a' has 8 bytes for the shape [3]",
    );
    let far = entry("a", "[4294967296, 4294967296]", 0, 0);
    check(&of(&[far]), 0, malformed, "tensor 'a' has 0 bytes for the shape");
    check(&of(&[entry("a", "[-1]", 0, 8)]), 8, malformed, "tensor 'a': invalid value");
    check(&of(&[a.clone(), b.clone()]), 11, Kind::Truncated, "where its header promises");
    check(&of(&[a.clone(), b]), 13, malformed, "has 1 bytes behind its last tensor");
    check("{", 0, malformed, "is not a safetensors file");
    check("[]", 0, malformed, "is not a safetensors file");
    check("{}", 0, Kind::Missing, "tensor 'model.layers.0.input_layernorm.weight' is missing");
    let endless = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    check_weights(&endless, malformed, "its header would have 18446744073709551615 bytes");
}

#[test]
fn lengths_that_wrap_are_refused() {
    // Eight tensors whose lengths add up to just less than nothing.
    let eighth = 1u64 << 61;
    let end = |i: u64| (i + 1).wrapping_mul(eighth);
    let tensor = |i: u64| entry(&format!("t{i}"), "[576460752303423488]", i * eighth, end(i));
    let wrapping: Vec<String> = (0..8).map(tensor).collect();
    check_header(&of(&wrapping), 0, Kind::Malformed, "tensor 't7' lies at bytes");
}

/// Changes one tensor of the small llama.
fn check_tensor(name: &str, change: impl FnOnce(&mut Tensor), kind: Kind, expect: &str) {
    let mut model = small::Small::llama();
    change(model.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap());
    check_weights(&safetensors(&model.tensors), kind, expect);
}

#[test]
fn numbers_that_are_none_are_found_wherever_they_are() {
    let nan = |at: usize| {
        move |tensor: &mut Tensor| {
            tensor.bytes[4 * at..4 * at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        }
    };
    let kind = Kind::Malformed;
    let linear = "model.layers.1.mlp.up_proj";
    let expect = format!("tensor '{linear}' holds an infinity or a NaN in row 3");
    check_tensor(&format!("{linear}.weight"), nan(3 * 64 + 7), kind, &expect);
    let norm = "model.layers.0.input_layernorm.weight";
    check_tensor(norm, nan(5), kind, &format!("'{norm}' holds an infinity or a NaN in row 5"));
    check_tensor("model.embed_tokens.weight", nan(0), kind, "'model.embed_tokens' holds an inf");

    let scales = |folder: &Path| {
        let file = folder.join("model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let name = "model.layers.0.self_attn.o_proj.scales";
        let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize + 8 + length;
        bytes[start..start + 2].copy_from_slice(&[0, 0x7c]); // an infinite f16
        fs::write(&file, bytes).unwrap();
    };
    let folder = copy("qwen_coder");
    scales(folder.path());
    let error = Checkpoint::open(folder.path()).unwrap().load(&Compute::serving()).map(drop).err();
    let file = folder.path().join("model.safetensors");
    check_error(error, &file, kind, "'model.layers.0.self_attn.o_proj' holds an infinity or a NaN");
}

#[test]
fn tensors_of_other_types_and_shapes_are_refused_by_name() {
    let name = "model.layers.0.mlp.down_proj.weight";
    let bytes = |dtype: &'static str| {
        move |tensor: &mut Tensor| {
            tensor.bytes.truncate(tensor.bytes.len() / 4);
            tensor.dtype = dtype;
        }
    };
    for dtype in ["I8", "F8_E4M3"] {
        let expect = format!("tensor '{name}' holds {dtype}, which is not supported");
        check_tensor(name, bytes(dtype), Kind::Unsupported, &expect);
    }
    let empty = |tensor: &mut Tensor| (tensor.shape, tensor.bytes) = (vec![0, 96], Vec::new());
    check_tensor(name, empty, Kind::Malformed, "has the shape [0, 96] where");
}

#[test]
fn files_that_are_none_are_refused() {
    let folder = |name: &'static str| {
        move |folder: &Path| {
            fs::remove_file(folder.join(name)).unwrap();
            fs::create_dir(folder.join(name)).unwrap();
        }
    };
    let malformed = Kind::Malformed;
    check_refused("qwen_coder", folder("config.json"), malformed, "config.json: is not a file");
    check_refused("qwen_coder", folder("model.safetensors"), malformed, "is not a file");
    let shard = "model-00002-of-00002.safetensors";
    check_refused(
        "mistral_balanced",
        folder(shard),
        malformed,
        "of-00002.safetensors: is not a file",
    );
    let around = move |folder: &Path| {
        fs::remove_file(folder.join(shard)).unwrap();
        std::os::unix::fs::symlink(shard, folder.join(shard)).unwrap();
    };
    check_refused("mistral_balanced", around, Kind::Unreadable, "can't be read");
    let zeros = |folder: &Path| {
        fs::remove_file(folder.join("config.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.join("config.json")).unwrap();
    };
    check_refused("qwen_coder", zeros, malformed, "config.json: is not a file");
    let long = |folder: &Path| fs::write(folder.join("config.json"), vec![b' '; 5 << 20]).unwrap();
    check_refused("qwen_coder", long, malformed, "is larger than 4194304 bytes");
}

#[test]
fn more_than_the_machine_has_is_refused_before_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = small::Small::llama();
    model.config["vocab_size"] = json!(1 << 22);
    model.config["hidden_size"] = json!(1 << 16);
    model.config["head_dim"] = json!(16);
    // A file of holes: a terabyte that takes no room on disk.
    let (vocab, hidden) = (1usize << 22, 1usize << 16);
    for tensor in &mut model.tensors {
        let wide = |side: &usize| match *side {
            small::VOCAB => vocab,
            small::HIDDEN => hidden,
            other => other,
        };
        let is_vocab = tensor.name.contains("embed") || tensor.name.contains("lm_head");
        let attention = tensor.name.contains("q_proj");
        let shape: Vec<usize> = tensor.shape.iter().map(wide).collect();
        tensor.shape = if attention { vec![small::HIDDEN, hidden] } else { shape };
        if !is_vocab && tensor.name.contains("k_proj") || tensor.name.contains("v_proj") {
            tensor.shape = vec![32, hidden];
        }
        if tensor.name.contains("o_proj") {
            tensor.shape = vec![hidden, small::HIDDEN];
        }
    }
    let mut end = 0;
    let entries = model.tensors.iter().map(|tensor| {
        let start = end;
        end += 4 * tensor.shape.iter().product::<usize>();
        entry(&tensor.name, &format!("{:?}", tensor.shape), start as u64, end as u64)
    });
    let header = framed(&of(&entries.collect::<Vec<_>>()), &[]);
    model.write_folder(folder.path());
    let file = fs::File::create(folder.path().join("model.safetensors")).unwrap();
    std::io::Write::write_all(&mut &file, &header).unwrap();
    if file.set_len((header.len() + end) as u64).is_err() {
        return; // a file system without holes
    }
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let error = checkpoint.load(&Compute::serving()).map(drop).unwrap_err();
    assert!(
        error.problem.contains("its weights need") && error.problem.contains("this machine has")
    );
}
