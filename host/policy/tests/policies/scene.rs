//! A registry in a temporary folder, a guest that behaves as instructed, and a world without
//! models.

use std::{
    collections::BTreeMap,
    fs, future,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use signalbox_build::Build;
use signalbox_policy::{
    Call, Compile, Decision, ExpertState, ExpertView, Hook, HttpHost, HttpProblem, Message,
    NewImports, OnFailure, Policies, PolicyError, PolicySettings, PostChain, PreVerdict,
    Provenance, Runs, TokenError, World,
};

/// The guest of `tests/guest`: all three hooks; does as instructed.
pub(crate) fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("policies");
        let build = Build::workspace(workspace, &["policy-guest"]).target_dir(target);
        let built = build.run(&mut |line| println!("{line}")).unwrap_or_else(|e| panic!("{e}"));
        fs::read(&built[0].path).unwrap()
    })
}

/// The guest with another revision: a custom section, which changes nothing else, says `n`.
pub(crate) fn variant(n: u8) -> Vec<u8> {
    let mut bytes = guest().to_vec();
    bytes.extend([0, 3, 1, b'v', n]);
    bytes
}

/// Counts a byte as a token, and never answers for the text `forever`; other hosts answer by the path.
pub(crate) struct Still;

#[async_trait]
impl World for Still {
    fn menu(&self) -> Vec<ExpertView> {
        menu()
    }

    async fn count_tokens(&self, text: String, expert: Option<String>) -> Result<u32, TokenError> {
        match expert {
            Some(id) => Err(TokenError::UnknownExpert(id)),
            None if text == "forever" => future::pending().await,
            None => Ok(text.len() as u32),
        }
    }

    async fn send(
        &self,
        to: &HttpHost,
        request: Request<Bytes>,
        bytes_max: u64,
    ) -> Result<Response<Bytes>, HttpProblem> {
        let (method, body) = (request.method(), request.body().len());
        let path = request.uri().path_and_query().unwrap().as_str();
        let answer = |status, text: String| {
            Ok(Response::builder().status(status).body(text.into()).unwrap())
        };
        match request.uri().path() {
            "/forever" => future::pending().await,
            "/private" => Err(HttpProblem::Private),
            "/nobody" => Err(HttpProblem::Refused),
            "/large" => Err(HttpProblem::ResponseTooLarge(bytes_max)),
            "/redirect" => answer(302, String::new()),
            _ => answer(200, format!("{method} {path} {}:{} {body} bytes", to.host, to.port)),
        }
    }
}

pub(crate) fn menu() -> Vec<ExpertView> {
    let view = |domain: &str| ExpertView {
        id: format!("expert_{domain}"),
        domain: domain.into(),
        description: String::new(),
        priority: 1,
        capabilities: Vec::new(),
        context_length: 4096,
        state: ExpertState::Resident,
        resident_bytes: 1,
        queue_depth: 0,
        estimated_wait_ms: None,
        estimated_load_ms: None,
        tokens_per_second: None,
    };
    ["general", "coding", "technical"].into_iter().map(view).collect()
}

/// A call with one user message.
pub(crate) fn says(text: &str) -> Call {
    let message = Message { role: "user".into(), content: text.into(), origin: None };
    Call { id: "call".into(), messages: vec![message], ..Call::default() }
}

/// The call that goes on, without what policies did with it.
pub(crate) fn passed(verdict: PreVerdict) -> Call {
    let PreVerdict::Proceed(call) = verdict else { panic!("it goes on") };
    Call { runs: Runs::default(), ..call }
}

/// Settings that make failures visible, with short deadlines.
pub(crate) fn settings(folder: &Path) -> PolicySettings {
    let mut settings = PolicySettings::new(folder, Compile::InProcess);
    settings.breaker.failures = 0;
    settings.failure_defaults[Hook::Route] = OnFailure::Refuse;
    settings.limits.pre_deadline_ms = 300;
    settings.limits.route_deadline_ms = 300;
    settings.limits.post_deadline_ms = 300;
    settings.limits.host_wait_ms = 2000;
    settings
}

/// `wasi:config` of one policy.
pub(crate) fn configured(settings: &mut PolicySettings, policy: &str, key: &str, value: &str) {
    let one = BTreeMap::from([(key.to_string(), value.to_string())]);
    settings.settings.insert(policy.into(), one);
}

pub(crate) struct Scene {
    pub(crate) policies: Policies,
    pub(crate) folder: tempfile::TempDir,
}

impl Scene {
    /// An empty registry.
    pub(crate) fn empty(adjust: impl FnOnce(&mut PolicySettings)) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        adjust(&mut settings);
        Scene { policies: Policies::open(settings, Arc::new(Still)).unwrap(), folder }
    }

    /// The guest in force in all its hooks, under the name `guest`.
    pub(crate) async fn new(adjust: impl FnOnce(&mut PolicySettings)) -> Scene {
        let scene = Scene::empty(adjust);
        scene.put("guest", guest()).await;
        scene
    }

    /// Uploads and activates; the revision.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> String {
        let revision = self.upload(name, bytes).await;
        self.policies.activate(name, &revision, NewImports::Refused).unwrap();
        revision
    }

    pub(crate) async fn upload(&self, name: &str, bytes: &[u8]) -> String {
        let uploaded =
            self.policies.upload(name, bytes.to_vec().into(), Provenance::Outside(None)).await;
        uploaded.unwrap_or_else(|error| panic!("{error}")).revision
    }

    pub(crate) async fn route(&self, text: &str) -> Result<Option<Decision>, PolicyError> {
        self.policies.snapshot().route(&says(text), &menu()).await
    }

    /// `count` calls of the router, each by another caller, one after the other.
    pub(crate) async fn route_by_many(&self, text: &str, count: u64) {
        for caller in 0..count {
            let call = Call { caller, ..says(text) };
            let _ = self.policies.snapshot().route(&call, &menu()).await;
        }
    }

    /// The router's words about a call it can answer.
    pub(crate) async fn reason(&self, text: &str) -> String {
        self.route(text).await.unwrap().unwrap().reason
    }

    /// The `post` policies of a reply.
    pub(crate) fn reply(&self) -> PostChain {
        let snapshot = self.policies.snapshot();
        let seats = snapshot.seats().unwrap();
        seats.post(&says("hello"), "expert_coding")
    }

    pub(crate) fn active(&self, name: &str) -> Option<String> {
        self.policies.show(name)?.active
    }
}

/// Polls until `done`; fails after ten seconds.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let patience = tokio::time::timeout(Duration::from_secs(10), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    patience.await.expect("it happens within ten seconds");
}
