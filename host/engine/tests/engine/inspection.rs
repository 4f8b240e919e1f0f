//! Broken and mistaken configurations are named in milliseconds, and cost nobody else an expert.

use std::{fs, path::Path, time::Instant};

use crate::support::{ask, chat, copy, settings, toy};
use signalbox_engine::{
    DType, EngineError, ExpertSettings, ExpertState, Fleet, Inspection, KvCacheDType, Quantization,
    Severity, Templates, inspect,
};

fn at(id: &str, path: &Path) -> ExpertSettings {
    ExpertSettings { path: path.into(), ..toy(id) }
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no {from}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

fn shorten(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 100]).unwrap();
}

#[track_caller]
fn check(seen: &Inspection, severity: Severity, code: &str, words: &str) {
    let finding = seen.findings.iter().find(|finding| finding.code == code);
    let finding = finding.unwrap_or_else(|| panic!("no {code} among {:?}", seen.findings));
    assert_eq!(finding.severity, severity);
    assert!(finding.to_string().contains(words), "{finding}");
    assert!(severity == Severity::Note || !finding.mend.is_empty());
}

#[test]
fn the_predecessor_s_four_failures_are_warnings_here() {
    let began = Instant::now();
    let declared =
        ExpertSettings { quantization: Some(Quantization::Awq), ..toy("gemma3_multimodal") };
    let seen = inspect(&declared, &Templates::InProcess);
    check(&seen, Severity::Warning, "quantization-mismatch", "served as it is");
    assert_eq!(seen.failure(), None);
    let half = ExpertSettings { dtype: DType::Float16, ..toy("gemma3_multimodal") };
    check(&inspect(&half, &Templates::InProcess), Severity::Warning, "dtype-overflow", "float32");
    assert!(began.elapsed().as_millis() < 1000);
}

#[test]
fn plain_checkpoints_are_quantised_when_that_is_wanted_and_packed_ones_are_not_again() {
    let wanted = |id: &str, quantization| {
        inspect(&ExpertSettings { quantization, ..toy(id) }, &Templates::InProcess)
    };
    let plain = wanted("gemma3_multimodal", None);
    for (quantization, stored, least) in [
        (Quantization::Int4, "int4 g128 (quantised while loading from bf16)", 3.8),
        (Quantization::Int8, "q8_0 (quantised while loading from bf16)", 1.88),
    ] {
        let seen = wanted("gemma3_multimodal", Some(quantization));
        assert_eq!(seen.quantization.as_deref(), Some(stored));
        check(&seen, Severity::Note, "quantised-while-loading", stored);
        // Embeddings stay as they are, so not all is as much smaller as the linears.
        let [before, after] = [&plain, &seen].map(|seen| seen.weight_bytes.unwrap() as f64);
        assert!(after < before && before / after < least, "{before} and {after} bytes");
        assert_eq!(seen.failure(), None);
    }
    let packed = wanted("qwen_coder", Some(Quantization::Int4));
    check(&packed, Severity::Warning, "quantization-mismatch", "already packed as awq int4 g128");
    assert_eq!(packed.weight_bytes, wanted("qwen_coder", None).weight_bytes);
}

#[test]
fn what_the_kv_cache_is_kept_as_is_said_and_counted() {
    let wanted = |id: &str, kv_cache_dtype| {
        inspect(&ExpertSettings { kv_cache_dtype, ..toy(id) }, &Templates::InProcess)
    };
    let bytes = |seen: &Inspection| seen.kv_bytes_per_token.unwrap();
    let plain = wanted("phi4_fast", KvCacheDType::Float32);
    assert_eq!(bytes(&plain), 2 * bytes(&wanted("phi4_fast", KvCacheDType::Float16)));
    let narrow = wanted("phi4_fast", KvCacheDType::Fp8);
    check(&narrow, Severity::Note, "kv-cache-int8", "is kept in int8");
    assert!(bytes(&narrow) < bytes(&plain) / 2);
    assert!(narrow.memory_bytes.unwrap() < plain.memory_bytes.unwrap());
    let biased = wanted("qwen_coder", KvCacheDType::Int8);
    check(&biased, Severity::Warning, "kv-cache-f16", "kept in f16");
    assert_eq!(bytes(&biased), bytes(&wanted("qwen_coder", KvCacheDType::Float16)));
}

#[test]
fn broken_folders_are_named_with_the_mend() {
    check(
        &inspect(&at("x", Path::new("/nowhere")), &Templates::InProcess),
        Severity::Error,
        "path-missing",
        "/nowhere",
    );

    let truncated = copy("mistral_balanced");
    shorten(&truncated.path().join("model-00002-of-00002.safetensors"));
    let seen = inspect(&at("mistral_balanced", truncated.path()), &Templates::InProcess);
    check(&seen, Severity::Error, "checkpoint-truncated", "model-00002-of-00002.safetensors");
    assert_eq!(seen.architecture.as_deref(), Some("MistralForCausalLM"));

    let incomplete = copy("mistral_balanced");
    fs::remove_file(incomplete.path().join("model-00001-of-00002.safetensors")).unwrap();
    let seen = inspect(&at("mistral_balanced", incomplete.path()), &Templates::InProcess);
    check(&seen, Severity::Error, "checkpoint-incomplete", "model-00001-of-00002.safetensors");

    let foreign = copy("phi4_fast");
    rewrite(&foreign.path().join("config.json"), "Phi3ForCausalLM", "MambaForCausalLM");
    let seen = inspect(&at("phi4_fast", foreign.path()), &Templates::InProcess);
    check(&seen, Severity::Error, "checkpoint-unsupported", "MambaForCausalLM");

    let gptq = copy("qwen_coder");
    rewrite(
        &gptq.path().join("config.json"),
        "\"quant_method\": \"awq\"",
        "\"quant_method\": \"gptq\"",
    );
    check(
        &inspect(&at("qwen_coder", gptq.path()), &Templates::InProcess),
        Severity::Error,
        "checkpoint-unsupported",
        "gptq",
    );

    let mute = copy("qwen_coder");
    fs::remove_file(mute.path().join("tokenizer.json")).unwrap();
    check(
        &inspect(&at("qwen_coder", mute.path()), &Templates::InProcess),
        Severity::Error,
        "tokenizer-missing",
        "tokenizer.json",
    );
}

#[test]
fn lesser_matters_are_warnings() {
    let long = ExpertSettings { max_model_len: Some(1 << 20), ..toy("phi4_fast") };
    let seen = inspect(&long, &Templates::InProcess);
    check(&seen, Severity::Warning, "context-too-long", "2048");
    assert_eq!(seen.context_length, Some(2048));
    check(&seen, Severity::Note, "memory-needed", "weights");

    let plain = copy("gemma3_multimodal");
    fs::remove_file(plain.path().join("chat_template.jinja")).unwrap();
    let seen = inspect(&at("gemma3_multimodal", plain.path()), &Templates::InProcess);
    check(&seen, Severity::Warning, "chat-template-missing", "completions work");
    assert!(!seen.chat);
}

#[test]
fn what_a_kv_cache_is_given_bounds_the_context_or_is_refused_with_numbers() {
    let one = ExpertSettings { max_num_seqs: 1, max_model_len: Some(2048), ..toy("phi4_fast") };
    let seen = inspect(&one, &Templates::InProcess);
    let full = seen.memory_bytes.unwrap() - seen.weight_bytes.unwrap();

    let eight = ExpertSettings { max_num_seqs: 8, kv_bytes: Some(full * 5), ..one.clone() };
    let seen = inspect(&eight, &Templates::InProcess);
    assert_eq!(seen.memory_bytes.unwrap() - seen.weight_bytes.unwrap(), full * 5);
    check(&seen, Severity::Note, "memory-needed", "which is 5 of 2048 tokens at once");

    let half = ExpertSettings { kv_bytes: Some(full / 2), ..one };
    let seen = inspect(&half, &Templates::InProcess);
    check(&seen, Severity::Error, "kv-memory-short", "one sequence of 2048 tokens takes");
    let finding = seen.findings.iter().find(|finding| finding.code == "kv-memory-short");
    assert!(finding.unwrap().mend.ends_with("or set max_model_len to 1024 or less"), "{finding:?}");

    let shortened = ExpertSettings { max_model_len: None, ..half };
    let seen = inspect(&shortened, &Templates::InProcess);
    check(&seen, Severity::Note, "context-shortened", "1024 tokens of the 2048");
    assert_eq!(seen.context_length, Some(1024));
}

#[tokio::test]
async fn one_bad_expert_never_takes_the_others_down() {
    let spoilt = copy("qwen_coder");
    let weights = spoilt.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    shorten(&weights);
    let mut settings = settings(&["phi4_fast", "gemma3_multimodal"]);
    settings.experts.push(at("qwen_coder", spoilt.path()));
    settings.experts[1].dtype = DType::Float16;
    settings.lazy_loading.max_loaded_experts = 3;
    settings.lazy_loading.warmup_pool_size = 3;
    let fleet = Fleet::start(settings);
    fleet.warmed().await;
    ask(&fleet, "phi4_fast", chat("Hello")).await.unwrap();
    ask(&fleet, "gemma3_multimodal", chat("Hello")).await.unwrap();

    let failed = fleet.status("qwen_coder").unwrap();
    assert!(matches!(&failed.state, ExpertState::Failed(why) if why.contains("model.safetensors")));
    match ask(&fleet, "qwen_coder", chat("Hello")).await {
        Err(EngineError::Unloadable { faults, .. }) => {
            let [fault] = faults.findings() else { panic!("{faults}") };
            assert_eq!(fault.code, "checkpoint-truncated");
            assert!(fault.message.contains("model.safetensors"), "{faults}");
        }
        other => panic!("{other:?}"),
    }
    assert!(fleet.load("qwen_coder").await.is_err());
    fs::write(&weights, whole).unwrap();
    fleet.load("qwen_coder").await.unwrap();
    ask(&fleet, "qwen_coder", chat("Hello")).await.unwrap();
}

#[tokio::test]
async fn what_never_fits_says_so_at_once() {
    let mut settings = settings(&["phi4_fast"]);
    settings.memory_bytes_max = 1 << 10;
    let fleet = Fleet::start(settings);
    let status = fleet.status("phi4_fast").unwrap();
    assert!(status.findings.iter().any(|finding| finding.code == "memory-over-limit"));
    assert!(matches!(status.state, ExpertState::Failed(_)));
}
