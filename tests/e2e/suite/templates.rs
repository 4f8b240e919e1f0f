//! Chat templates that were written to end the host, in a host that serves.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::host::{Host, config, models};

/// Ends the process that renders it, by its stack.
const ENDLESS: &str = "{% set ns=namespace(d=1) %}{% set ns.d=ns %}{{ ns }}";
/// Does so only when asked to, and takes gigabytes when asked otherwise.
const TRAPPED: &str = "{% for m in messages %}{% if m.content == 'dive' %}{% set ns=namespace(d=1) %}\
    {% set ns.d=ns %}{{ ns }}{% elif m.content == 'eat' %}{{ range(10)|batch(1000000000,'x')|list }}\
    {% elif m.content == 'raise' %}{{ raise_exception('not\nthis') }}\
    {% else %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endif %}{% endfor %}<|assistant|>";

/// A toy's checkpoint with another template.
fn with_template(toy: &str, folder: &Path, template: &str) -> Value {
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(models().join(toy)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    fs::write(folder.join("chat_template.jinja"), template).unwrap();
    json!(folder)
}

#[test]
fn a_hostile_template_costs_its_own_expert_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config["experts"][2]["model_path"] =
        with_template("qwen_coder", &folder.path().join("endless"), ENDLESS);
    let host = Host::start_with(config);
    assert_eq!(host.expert("qwen_coder")["state"], "failed");
    let message = host.admin_get("/experts")["experts"][2].clone();
    assert!(message["reason"].as_str().unwrap().contains("it nests too deeply"), "{message}");
    let answer = host.chat("qwen_coder", "Hello");
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "expert_unloadable"));
    for id in ["phi4_fast", "mistral_balanced", "gemma3_multimodal", "aya_expanse_multilingual"] {
        assert_eq!(host.chat(id, "Hello").status, 200, "{id}");
    }
    let limit = &host.get("/stats").ok()["limits"]["template_memory_bytes"];
    assert_eq!((&limit["value"], &limit["unit"]), (&json!(512 << 20), &json!("bytes")));
}

#[test]
fn what_a_template_does_with_one_call_is_that_call_s() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config["experts"][0]["model_path"] =
        with_template("phi4_fast", &folder.path().join("trapped"), TRAPPED);
    let host = Host::start_with(config);
    for (words, status, code, said) in [
        ("dive", 503, "template_failed", "it nests too deeply"),
        ("eat", 503, "template_failed", "more than 512 MiB of memory"),
        ("raise", 400, "template_refused", r"not\nthis"),
    ] {
        assert_eq!(host.chat("phi4_fast", "Hello").status, 200, "before {words}");
        let answer = host.chat("phi4_fast", words);
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{words}");
        let newest = host.admin_get("/decisions")["decisions"][0].clone();
        assert!(newest["error"].as_str().unwrap().contains(said), "{newest}");
    }
    assert_eq!(host.chat("phi4_fast", "Hello").status, 200);
    assert_eq!(host.expert("phi4_fast")["state"], "resident");
}
