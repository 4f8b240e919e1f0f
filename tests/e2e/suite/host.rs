//! The host under test: the real program as a child process on free ports, with its own folders.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{self, Answer};

/// Everything a start may take on a slow machine in a development build.
const START_MAX: Duration = Duration::from_secs(60);

/// Where the log goes when it is to be read.
const LOG: &str = "log";

/// The five toy experts: id and domain, as in the predecessor's configuration.
pub(crate) const EXPERTS: [(&str, &str); 5] = [
    ("phi4_fast", "general"),
    ("mistral_balanced", "technical"),
    ("qwen_coder", "coding"),
    ("gemma3_multimodal", "multimodal_expert"),
    ("aya_expanse_multilingual", "multilingual_expert"),
];

const CONFIG: &str = "config.json";

/// The folder of the toy experts.
pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

/// The misbehaving guest, compiled by the build script.
pub(crate) fn misbehaving_component() -> Vec<u8> {
    fs::read(env!("GUESTS_COMPONENT")).unwrap()
}

/// A configuration in the predecessor's format with the five toy experts, all warm.
pub(crate) fn config() -> Value {
    let experts: Vec<_> = EXPERTS
        .iter()
        .map(|(id, domain)| {
            let awq = *id != "gemma3_multimodal";
            json!({
                "expert_id": id,
                "model_path": models().join(id),
                "domain": domain,
                "description": format!("the toy expert for {domain}"),
                "priority": if *domain == "general" { 5 } else { 3 },
                "quantization": if awq { json!("awq") } else { Value::Null },
                "dtype": if awq { "float16" } else { "bfloat16" },
                "max_num_seqs": 16,
            })
        })
        .collect();
    json!({
        "experts": experts,
        "lazy_loading": {"enabled": true, "warmup_pool_size": 5, "max_loaded_experts": 5},
        "server_config": {"host": "127.0.0.1", "port": 0, "log_level": "warning"},
        "admin": {"host": "127.0.0.1", "port": 0},
    })
}

/// A running host. Dropping it kills the process.
pub(crate) struct Host {
    child: Child,
    pub(crate) url: String,
    pub(crate) admin: String,
    dir: TempDir,
    config: Value,
}

impl Host {
    /// Start with the five toy experts and wait until they are loaded.
    pub(crate) fn start() -> Self {
        Self::start_with(config())
    }

    /// Start with this configuration and wait until it is ready.
    pub(crate) fn start_with(config: Value) -> Self {
        let host = Self::spawn(config, tempfile::tempdir().unwrap(), Stdio::inherit());
        host.wait_ready();
        host
    }

    /// The same, with a log that can be read.
    pub(crate) fn start_logging(config: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = fs::File::create(dir.path().join(LOG)).unwrap();
        let host = Self::spawn(config, dir, log.into());
        host.wait_ready();
        host
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join(LOG)).unwrap()
    }

    /// Start with this configuration and wait for nothing but the addresses.
    pub(crate) fn starting(config: Value) -> Self {
        Self::spawn(config, tempfile::tempdir().unwrap(), Stdio::inherit())
    }

    fn spawn(config: Value, dir: TempDir, log: Stdio) -> Self {
        Self::launch(config, dir, |command| {
            command.stderr(log);
        })
    }

    /// Start in surroundings that `adjust` arranges, and wait for the addresses only.
    pub(crate) fn launch(
        mut config: Value,
        dir: TempDir,
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        config["policies"]["data_dir"] = json!(dir.path().join("policies"));
        let file = dir.path().join(CONFIG);
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox-under-test"));
        command.args(["serve", "--config"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        adjust(&mut command);
        let mut child = command.spawn().unwrap();
        let (url, admin) = addresses(child.stdout.take().unwrap());
        Self { child, url, admin, dir, config }
    }

    /// Write this into the configuration file. The host reads it when it is asked to.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.dir.path().join(CONFIG), text).unwrap();
    }

    /// What the configuration file said at the start.
    pub(crate) fn configured(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.dir.path().join(CONFIG)).unwrap()).unwrap()
    }

    /// Kill the process as a power cut would.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    /// Wait for the end of a killed process, then start another on the same folders.
    pub(crate) fn restart(mut self) -> Self {
        self.child.wait().unwrap();
        // `Drop` kills an already dead child, which is harmless; the folder has to outlive it.
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        let host = Self::spawn(self.config.clone(), dir, Stdio::inherit());
        host.wait_ready();
        host
    }

    /// The process's number, to look at it from outside.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kill the process, change its folder while it is down, and start another on it, which need not
    /// become ready.
    pub(crate) fn restart_after(mut self, change: impl FnOnce(&Path)) -> Self {
        self.kill();
        self.child.wait().unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        change(&dir.path().join("policies"));
        let host = Self::spawn(self.config.clone(), dir, Stdio::inherit());
        eventually("the start is over", START_MAX, || {
            host.get("/ready").json()["degraded"].is_array()
        });
        host
    }

    /// The folder where the host keeps its policies.
    pub(crate) fn policies_dir(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    /// Ask the process to stop, as a service manager does.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// How the process ended, if it does so in time.
    pub(crate) fn exit_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }

    pub(crate) fn wait_ready(&self) {
        eventually("the host is ready", START_MAX, || self.get("/ready").status == 200);
    }

    // === the data plane ===

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(&format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        http::post(&format!("{}{path}", self.url), body)
    }

    /// A chat with one user message and greedy sampling.
    pub(crate) fn chat(&self, model: &str, prompt: &str) -> Answer {
        self.post("/v1/chat/completions", &http::chat_body(model, prompt))
    }

    /// The text of a chat that has to succeed.
    pub(crate) fn ask(&self, model: &str, prompt: &str) -> String {
        content(&self.chat(model, prompt).ok())
    }

    /// One expert's entry of `GET /experts`.
    pub(crate) fn expert(&self, id: &str) -> Value {
        let body = self.get("/experts").ok();
        let experts = body["experts"].as_array().unwrap();
        experts.iter().find(|e| e["expert_id"] == id).unwrap_or_else(|| panic!("no {id}")).clone()
    }

    // === the admin plane ===

    /// What operators read of the newest call: why it failed.
    pub(crate) fn grounds(&self, failed: &Answer) -> String {
        let newest = self.admin_get("/decisions?limit=1")["decisions"][0].clone();
        let id = failed.header("x-request-id");
        assert_eq!(newest["id"], id, "{newest}");
        assert!(failed.text.contains(id), "no way to find why: {}", failed.text);
        newest["error"].as_str().unwrap_or_else(|| panic!("no error: {newest}")).to_owned()
    }

    pub(crate) fn admin_get(&self, path: &str) -> Value {
        http::get(&format!("{}{path}", self.admin)).ok()
    }

    pub(crate) fn admin_put(&self, path: &str, body: &Value) -> Answer {
        http::put(&format!("{}{path}", self.admin), body)
    }

    pub(crate) fn admin_post(&self, path: &str, body: &Value) -> Answer {
        http::post(&format!("{}{path}", self.admin), body)
    }

    pub(crate) fn upload(&self, name: &str, component: &[u8]) -> Answer {
        let url = format!("{}/policies/{name}", self.admin);
        http::post_bytes(&url, "application/wasm", component)
    }

    /// Upload a component that has to be accepted and make it active; the answer is its revision.
    pub(crate) fn deploy(&self, name: &str, component: &[u8]) -> String {
        let report = self.upload(name, component).ok();
        let revision = report["revision"].as_str().unwrap().to_owned();
        self.activate(name, &revision);
        revision
    }

    /// Upload and activate one of the example policies.
    pub(crate) fn deploy_example(&self, name: &str) -> String {
        self.deploy(name, example(name))
    }

    pub(crate) fn activate(&self, name: &str, revision: &str) {
        let body = json!({"revision": revision});
        self.admin_post(&format!("/policies/{name}/activate"), &body).ok();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Already gone is fine: the test may have ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The component of an example policy, as it is built into the program.
pub(crate) fn example(name: &str) -> &'static [u8] {
    let found = signalbox::example(name);
    found.unwrap_or_else(|| panic!("'{name}' is not built in"))
}

/// What the same call costs once more: the expert knows its prompt, but for the last token, whose logits are wanted.
/// A few tokens are not worth it.
pub(crate) fn usage_of_the_next(answer: &Value) -> Value {
    let mut usage = answer["usage"].clone();
    let known = usage["prompt_tokens"].as_u64().unwrap() - 1;
    usage["prompt_tokens_details"]["cached_tokens"] = if known < 16 { 0 } else { known }.into();
    usage
}

/// The text of a chat completion.
pub(crate) fn content(completion: &Value) -> String {
    let text = completion["choices"][0]["message"]["content"].as_str();
    text.unwrap_or_else(|| panic!("no content: {completion}")).to_owned()
}

/// Poll until `holds`, or fail naming what was waited for.
pub(crate) fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "waited {limit:?} and it never came: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The two addresses that a starting host prints, data plane first.
fn addresses(stdout: impl Read + Send + 'static) -> (String, String) {
    let (found, wanted) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            for url in line.split_whitespace().filter(|word| word.starts_with("http://127.")) {
                // The receiver is gone once it has both; the pipe is still drained.
                let _ = found.send(url.trim_end_matches('/').to_owned());
            }
        }
    });
    let next = || wanted.recv_timeout(START_MAX).expect("the host printed no address");
    (next(), next())
}
