//! Policies that the configuration names come into force when it is read anew, the way of an upload; what operators did
//! over HTTP stays.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    host::{Host, config, eventually, example},
    http::{self, Answer, Events, chat_body},
};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A host whose configuration names files of components, which tests replace.
struct Scene {
    host: Host,
    files: TempDir,
    config: Value,
}

impl Scene {
    /// With the policy `guard`, from this example.
    fn new(guard: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut config = config();
        config["policies"]["components"] = json!({ "guard": files.path().join("guard") });
        fs::write(files.path().join("guard"), example(guard)).unwrap();
        let host = Host::start_with(config);
        let config = host.configured();
        Self { host, files, config }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, component: &[u8]) {
        fs::write(self.file(name), component).unwrap();
    }

    fn reload(&self) -> Answer {
        self.host.configure(&self.config.to_string());
        self.host.admin_post("/reload", &json!({}))
    }

    /// The revision in force.
    fn active(&self, name: &str) -> Value {
        self.host.admin_get(&format!("/policies/{name}"))["active"].clone()
    }

    fn activate(&self, revision: &str) {
        let body = json!({ "revision": revision, "allow_new_imports": true });
        self.host.admin_post("/policies/guard/activate", &body).ok();
    }

    fn pipeline(&self) -> Value {
        let pipeline = self.host.admin_get("/pipeline");
        json!([pipeline["pre"], pipeline["route"], pipeline["post"]])
    }

    fn generation(&self) -> Value {
        self.host.admin_get("/pipeline")["generation"].clone()
    }
}

#[test]
fn a_component_that_changed_or_is_new_comes_into_force_and_replies_go_on() {
    let mut scene = Scene::new("token-budget");
    let first = scene.active("guard");
    let before = scene.generation();
    assert_eq!(scene.reload().ok()["changed"], json!([]), "nothing has changed");
    assert_eq!(scene.generation(), before);

    let mut events = Events::open(&scene.host.url, chat_body("gemma3_multimodal", "Hello!"));
    events.next_data().unwrap();
    scene.write("guard", example("prompt-guard"));
    scene.write("router", example("round-robin"));
    scene.config["policies"]["components"]["router"] = json!(scene.file("router"));
    let report = scene.reload().ok();
    let keys = ["policies.components.guard", "policies.components.router"];
    assert_eq!(report["changed"], json!(keys), "{report}");
    assert_eq!((&report["left"], &report["needs_restart"]), (&json!([]), &json!([])), "{report}");
    assert_eq!(report["experts"]["unchanged"].as_array().unwrap().len(), 5, "{report}");
    assert_ne!(scene.active("guard"), first);
    let routed = scene.host.chat("auto", "Hello!");
    assert!(routed.header("x-signalbox-route").starts_with("router@"), "{:?}", routed.text);
    events.finish();

    // SIGHUP does the same.
    scene.write("guard", example("token-budget"));
    scene.write("second", example("redact-pii"));
    scene.config["policies"]["components"]["second"] = json!(scene.file("second"));
    scene.host.configure(&scene.config.to_string());
    scene.host.signal("-HUP");
    let second = format!("{}/policies/second", scene.host.admin);
    let deployed = || {
        let answer = http::get(&second);
        answer.status == 200 && answer.json()["active"].is_string()
    };
    eventually("the second one is in force", PATIENCE, deployed);
}

#[test]
fn what_operators_did_meanwhile_stays() {
    let mut scene = Scene::new("token-budget");
    let file = scene.active("guard");
    let uploaded = scene.host.upload("guard", example("prompt-guard")).ok()["revision"].clone();
    scene.activate(uploaded.as_str().unwrap());
    let wanted = json!({ "pre": [], "route": "route-by-domain", "post": [] });
    scene.host.admin_put("/pipeline", &wanted).ok();
    let generation = scene.generation();
    assert_eq!(scene.reload().ok()["changed"], json!([]), "the file says what it said");
    assert_eq!((scene.active("guard"), scene.generation()), (uploaded, generation));

    // Its file becomes another one, and then again the first, which operators may have left for a reason.
    scene.write("guard", example("redact-pii"));
    assert_eq!(scene.reload().ok()["changed"], json!(["policies.components.guard"]));
    let newest = scene.active("guard");
    scene.write("guard", example("token-budget"));
    let report = scene.reload().ok();
    assert_eq!(report["left"][0]["key"], "policies.components.guard", "{report}");
    assert!(report["left"][0]["reason"].as_str().unwrap().contains("policy activate"), "{report}");
    assert_eq!((&report["changed"], scene.active("guard")), (&json!([]), newest));
    scene.activate(file.as_str().unwrap());
    scene.config["policies"]["components"] = json!({});
    assert_eq!(scene.reload().ok()["changed"], json!([]), "who is not named any more stays");
    assert_eq!(scene.active("guard"), file);
}

#[test]
fn a_pipeline_that_changed_is_put_in_force_with_what_it_names() {
    let mut scene = Scene::new("prompt-guard");
    scene.config["policies"]["pipeline"] =
        json!({ "pre": ["token-budget", "guard"], "route": "round-robin", "post": [] });
    let report = scene.reload().ok();
    assert_eq!(report["changed"], json!(["policies.pipeline"]), "{report}");
    let pipeline = scene.pipeline().to_string();
    let at = |name: &str| pipeline.find(name).unwrap_or_else(|| panic!("no {name} in {pipeline}"));
    assert!(at("token-budget") < at("guard") && at("round-robin") > 0, "{pipeline}");

    // A component that the pipeline does not name is called by nobody.
    scene.write("redacts", example("redact-pii"));
    scene.config["policies"]["components"]["redacts"] = json!(scene.file("redacts"));
    assert_eq!(scene.reload().ok()["changed"], json!(["policies.components.redacts"]));
    assert_eq!(scene.pipeline().to_string(), pipeline);

    // An operator's pipeline stays until the configuration says another one.
    let theirs = json!({ "pre": ["guard"], "route": "route-by-domain", "post": [] });
    scene.host.admin_put("/pipeline", &theirs).ok();
    assert_eq!(scene.reload().ok()["changed"], json!([]));
    assert!(!scene.pipeline().to_string().contains("token-budget"));
}

#[test]
fn a_fault_in_one_leaves_all_as_it_was_and_is_named() {
    let mut scene = Scene::new("token-budget");
    let (guard, generation) = (scene.active("guard"), scene.generation());
    let good = scene.config.clone();
    let mut check = |change: &dyn Fn(&mut Scene), words: &[&str]| {
        scene.config = good.clone();
        scene.config["policies"]["settings"] = json!({"guard": {"reply-tokens-max": "2"}});
        scene.config["limits"] = json!({"max_tokens_max": 3000});
        scene.write("guard", example("prompt-guard"));
        change(&mut scene);
        let refused = scene.reload();
        let code = refused.error_code();
        assert_eq!((refused.status, code.as_str()), (422, "configuration_invalid"), "{words:?}");
        assert!(words.iter().all(|word| refused.text.contains(word)), "{}", refused.text);
        assert_eq!((&scene.active("guard"), &scene.generation()), (&guard, &generation));
        let stored = scene.host.admin_get("/policies/guard");
        assert_eq!(stored["revisions"].as_array().unwrap().len(), 1, "{stored}");
        assert_eq!(scene.host.chat("phi4_fast", "Hello!").status, 200);
    };
    let broken = |scene: &mut Scene| {
        scene.write("broken", b"\0asm no component");
        scene.config["policies"]["components"]["broken"] = json!(scene.file("broken"));
    };
    check(&broken, &["policies.components.broken"]);
    let missing = |scene: &mut Scene| {
        scene.config["policies"]["components"]["gone"] = json!(scene.file("gone"));
    };
    check(&missing, &["policies.components.gone", "can't be read"]);
    let nobody = |scene: &mut Scene| {
        scene.config["policies"]["pipeline"] = json!({ "pre": ["nobody"], "post": [] });
    };
    check(&nobody, &["policies.pipeline", "'nobody'"]);
    let wrong = |scene: &mut Scene| {
        scene.config["policies"]["pipeline"] = json!({ "pre": [], "route": "guard", "post": [] });
    };
    check(&wrong, &["'guard' has no route hook"]);
    let unsigned = |scene: &mut Scene| {
        let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
        scene.config["policies"]["signing_keys"] = json!([key]);
    };
    check(&unsigned, &["policies.components.guard", "has no signature"]);
    let expert = |scene: &mut Scene| scene.config["experts"][0]["model_path"] = json!("nowhere");
    check(&expert, &["phi4_fast"]);

    // And mended, all of it is in force.
    scene.config = good;
    let report = scene.reload().ok();
    assert_eq!(report["changed"], json!(["policies.components.guard"]), "{report}");
}
