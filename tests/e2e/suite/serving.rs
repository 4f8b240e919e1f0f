//! Configurations as strangers write them: the experts that can be served are, the others say why
//! not; and memory is shared by the rules of `lazy_loading`.

use std::{fs, path::Path, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    answers::recorded,
    host::{Host, config, eventually, models},
};

/// A start without weights to load is over by then.
const START_MAX: Duration = Duration::from_secs(30);

/// Copy a toy expert, to break the copy.
fn copy(expert: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(models().join(expert)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn edit_config(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let file = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    edit(&mut config);
    fs::write(&file, config.to_string()).unwrap();
}

/// One missing folder, one truncated file, one unsupported architecture, one plain checkpoint
/// declared `awq`, one Gemma 3 declared `float16`.
fn five_mistakes(dir: &Path) -> Value {
    let mut config = config();
    let truncated = dir.join("truncated");
    copy("aya_expanse_multilingual", &truncated);
    let weights = truncated.join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let unsupported = dir.join("unsupported");
    copy("qwen_coder", &unsupported);
    edit_config(&unsupported, |c| c["architectures"] = json!(["MambaForCausalLM"]));
    let experts = config["experts"].as_array_mut().unwrap();
    experts[0]["quantization"] = json!("awq");
    experts[0]["model_path"] = json!(models().join("gemma3_multimodal"));
    experts[1]["model_path"] = json!(dir.join("no-such-folder"));
    experts[2]["model_path"] = json!(unsupported);
    experts[3]["dtype"] = json!("float16");
    experts[4]["model_path"] = json!(truncated);
    config
}

#[test]
fn a_host_whose_experts_all_fail_says_so_everywhere() {
    let mut config = config();
    for expert in config["experts"].as_array_mut().unwrap() {
        expert["model_path"] = json!("/no-such-folder");
    }
    let host = Host::starting(config);
    let ready = || host.get("/ready");
    eventually("the start is over", START_MAX, || ready().json()["status"] != "starting");
    assert_eq!((ready().status, ready().json()["ready"].clone()), (503, json!(false)));
    let health = host.get("/health").ok();
    assert_eq!(
        (&health["status"], &health["orchestrator_ready"]),
        (&json!("unhealthy"), &json!(false))
    );
    assert_eq!(health["failed"].as_array().unwrap().len(), 5, "{health}");
    let models = host.get("/v1/models").ok();
    assert!(models["data"].as_array().unwrap().iter().all(|model| model["id"] != "auto"));
    for model in ["auto", "phi4_fast"] {
        let refused = host.chat(model, "Hello!");
        assert_eq!(
            (refused.status, refused.json()["error"]["blame"].clone()),
            (503, json!("expert"))
        );
        assert!(host.grounds(&refused).contains("no-such-folder"));
    }
}

#[test]
fn broken_experts_are_named_and_the_others_serve() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start_with(five_mistakes(dir.path()));
    for (id, word) in [
        ("mistral_balanced", "no-such-folder"),
        ("qwen_coder", "MambaForCausalLM"),
        ("aya_expanse_multilingual", "truncated"),
    ] {
        let expert = host.expert(id);
        assert_eq!(expert["state"], "failed", "{expert}");
        assert!(expert["reason"].as_str().unwrap().contains("the operator finds why"), "{expert}");
        let experts = host.admin_get("/experts")["experts"].clone();
        let inner = experts.as_array().unwrap().iter().find(|e| e["expert_id"] == id).unwrap();
        assert!(inner["reason"].as_str().unwrap().contains(word), "{inner}");
        let answer = host.chat(id, "Hello!");
        assert_eq!((answer.status, answer.error_code().as_str()), (503, "expert_unloadable"));
        assert!(answer.text.contains(id), "whose is it? {}", answer.text);
        assert!(host.grounds(&answer).contains(word), "{}", host.grounds(&answer));
        let folder = dir.path().to_str().unwrap();
        for page in [answer.text, host.get("/experts").text, host.get("/stats").text] {
            assert!(!page.contains(folder), "a path leaves the host: {page}");
        }
    }
    for (id, code) in
        [("phi4_fast", "quantization-mismatch"), ("gemma3_multimodal", "dtype-overflow")]
    {
        let expert = host.expert(id);
        assert_eq!(expert["state"], "resident", "{expert}");
        let findings = expert["findings"].as_array().unwrap();
        assert!(findings.iter().any(|f| f["code"] == code), "no {code}: {findings:?}");
    }
    let (prompt, answer) = &recorded("gemma3_multimodal")[0];
    assert_eq!(host.ask("gemma3_multimodal", prompt), *answer);
    assert_eq!(host.chat("auto", "Write a Python function that adds two numbers").status, 200);
}

#[test]
fn an_expert_without_template_or_tokenizer_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (mute, wordless) = (dir.path().join("mute"), dir.path().join("wordless"));
    copy("qwen_coder", &mute);
    let file = mute.join("tokenizer_config.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    tokenizer.as_object_mut().unwrap().remove("chat_template");
    fs::write(&file, tokenizer.to_string()).unwrap();
    copy("phi4_fast", &wordless);
    fs::remove_file(wordless.join("tokenizer.json")).unwrap();
    let mut config = config();
    config["experts"][0]["model_path"] = json!(wordless);
    config["experts"][2]["model_path"] = json!(mute);
    let host = Host::start_with(config);

    let answer = host.chat("qwen_coder", "Hello");
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "template_refused"));
    assert!(answer.text.contains("add chat_template.jinja, or use completions"), "{}", answer.text);
    let body = json!({"model": "qwen_coder", "prompt": "def", "max_tokens": 4});
    assert_eq!(host.post("/v1/completions", &body).status, 200);

    let answer = host.chat("phi4_fast", "Hello");
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "expert_unloadable"));
    let grounds = host.grounds(&answer);
    assert!(grounds.contains("tokenizer.json is missing; download it"), "{grounds}");
}

#[test]
fn cold_experts_load_once_and_the_least_recently_used_goes() {
    let mut lazy = config();
    lazy["lazy_loading"] = json!({"enabled": true, "warmup_pool_size": 1, "max_loaded_experts": 2});
    let host = Host::start_with(lazy);
    let state = |id: &str| host.expert(id)["state"].as_str().unwrap().to_owned();
    assert_eq!((state("phi4_fast"), state("qwen_coder")), ("resident".into(), "cold".into()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| host.chat("qwen_coder", "hello").ok());
        }
    });
    assert_eq!(host.expert("qwen_coder")["load_count"], 1, "concurrent firsts load once");
    host.chat("phi4_fast", "hello").ok();
    host.chat("aya_expanse_multilingual", "hello").ok();
    assert_eq!(state("qwen_coder"), "cold", "the least recently used had to go");
    assert_eq!(state("phi4_fast"), "resident");
}

#[test]
fn the_read_only_pages_are_there() {
    let host = Host::start();
    assert_eq!(host.get("/").ok()["models_loaded"], 5);
    assert_eq!(host.get("/health").ok()["status"], "healthy");
    assert_eq!(host.get("/stats").ok()["lazy_loading"]["loaded_experts"], 5);
    let models = host.get("/v1/models").ok();
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"].as_array().unwrap().len(), 6);
    host.chat("phi4_fast", "Hello!").ok();
    let metrics = host.get("/metrics").text;
    for name in
        ["signalbox_requests_total", "signalbox_time_to_first_token_seconds", "signalbox_expert"]
    {
        assert!(metrics.contains(name), "no {name} in\n{metrics}");
    }
}
