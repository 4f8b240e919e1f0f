//! A server on free ports and a client for it.

use std::{io::Read, path::PathBuf, time::Duration};

use serde_json::Value;
use signalbox_engine::{
    ExpertSettings, Fleet, FleetLimits, FleetSettings, LazyLoading, PackFiles, Quantization,
    Templates,
};
use signalbox_policy::{Compile, PolicySettings};
use signalbox_server::{App, ServerSettings, run};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

/// The expert of domain `general`, which the native route chooses.
pub(crate) const GENERAL: &str = "phi4_fast";
/// Its template wants user and assistant in turns.
pub(crate) const STRICT: &str = "mistral_balanced";
/// Its files are missing.
pub(crate) const BROKEN: &str = "missing";

/// A running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) data: String,
    pub(crate) admin: String,
    pub(crate) fleet: Fleet,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<std::io::Result<()>>>,
    runtime: Runtime,
    _registry: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        Self::open(|settings, _| change(settings))
    }

    pub(crate) fn open(change: impl FnOnce(&mut ServerSettings, &mut PolicySettings)) -> Self {
        let registry = tempfile::tempdir().unwrap();
        let mut settings = ServerSettings::default();
        let mut policies = PolicySettings::new(registry.path(), Compile::InProcess);
        change(&mut settings, &mut policies);
        let runtime = Runtime::new().unwrap();
        let _inside = runtime.enter();
        let fleet = Fleet::start(fleet());
        let app = App::open(fleet.clone(), policies, settings).unwrap();
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (data, admin) = (bind(), bind());
        let address = |l: &TcpListener| l.local_addr().unwrap().to_string();
        let (addresses, (stop, stopped)) = ((address(&data), address(&admin)), oneshot::channel());
        let shutdown = async { drop(stopped.await) };
        let running = runtime.spawn(run(app, data, admin, shutdown));
        let (data, admin) = addresses;
        drop(_inside);
        let server = Self {
            data,
            admin,
            fleet,
            stop: Some(stop),
            running: Some(running),
            runtime,
            _registry: registry,
        };
        server.wait_until("ready", |server| server.get("/ready").status == 200);
        server
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], body)
    }

    /// Asks the data plane.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        head: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        ask(&self.data, method, path, head, body.as_bytes())
    }

    /// Asks the admin plane.
    pub(crate) fn operate(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        ask(&self.admin, method, path, &[("content-type", "application/json")], body)
    }

    /// Asks for a chat with one user message; `more` is further fields.
    pub(crate) fn chat(&self, prompt: &str, more: &str) -> Answer {
        self.post("/v1/chat/completions", &chat_body(prompt, more))
    }

    /// Asks the server to stop, without waiting.
    pub(crate) fn ask_to_stop(&mut self) {
        self.stop.take();
    }

    /// Waits until it has.
    pub(crate) fn stopped(&mut self) -> std::io::Result<()> {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running).unwrap()
    }

    /// Waits for something that happens soon.
    pub(crate) fn wait_until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if reached(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("waited too long: {what}");
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(is, _)| is == name);
        found.map_or("", |(_, value)| value)
    }

    /// The stable code of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The events of a stream, without their `data: `.
    pub(crate) fn events(&self) -> Vec<&str> {
        let events = self.text.split("\n\n").filter(|event| !event.is_empty());
        events.map(|event| event.strip_prefix("data: ").unwrap_or(event)).collect()
    }
}

pub(crate) fn chat_body(prompt: &str, more: &str) -> String {
    let prompt = Value::from(prompt);
    format!(r#"{{"messages": [{{"role": "user", "content": {prompt}}}], "temperature": 0{more}}}"#)
}

/// A prompt that an expert has learnt, and what it answers.
pub(crate) fn recorded(expert: &str) -> (String, String, u64, u64) {
    let text = std::fs::read_to_string(model(expert).join("recorded.json")).unwrap();
    let entry = serde_json::from_str::<Value>(&text).unwrap()["entries"][0].take();
    let count = |of: &str| entry[of].as_array().unwrap().len() as u64;
    let text = |of: &str| entry[of].as_str().unwrap().to_owned();
    (text("prompt"), text("answer"), count("prompt_ids"), count("answer_ids"))
}

fn ask(host: &str, method: &str, path: &str, head: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request =
        ureq::http::Request::builder().method(method).uri(format!("http://{host}{path}"));
    for (name, value) in head {
        request = request.header(*name, *value);
    }
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.run(request.body(body.to_vec()).unwrap()).unwrap();
    let mut text = String::new();
    response.body_mut().as_reader().read_to_string(&mut text).unwrap();
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().iter().map(header).collect(),
        text,
    }
}

fn fleet() -> FleetSettings {
    FleetSettings {
        experts: vec![
            expert("qwen_coder", "coding", 9),
            expert(GENERAL, "general", 5),
            expert(STRICT, "technical", 4),
            expert(BROKEN, "multimodal_expert", 3),
        ],
        lazy_loading: LazyLoading {
            enabled: true,
            warmup_pool_size: 2,
            max_loaded_experts: 4,
            auto_unload_after: None,
            prefetch: false,
        },
        memory_bytes_max: 1 << 30,
        limits: FleetLimits { queue_max: 64 },
        templates: Templates::InProcess,
        pack_files: PackFiles::Off,
    }
}

fn expert(id: &str, domain: &str, priority: i32) -> ExpertSettings {
    ExpertSettings {
        domain: domain.to_owned(),
        description: format!("the {domain} expert"),
        priority,
        quantization: Some(Quantization::Awq),
        max_num_seqs: 4,
        ..ExpertSettings::new(id, model(id))
    }
}

fn model(id: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(id)
}
