//! Trying a revision before it is let near a live call: every hook it exports, on recorded calls,
//! under the live limits. A refusal is a fine answer; a failure is not.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Call, ExpertState, ExpertView, Failure, HAS_IMAGES, Hook, IMAGE_MARK, Message, TokenError,
    UploadProblem, World, hook::table, policy::Policy,
};

/// The calls a policy is tried on, and what they are called in a refusal.
fn calls() -> Vec<(&'static str, Arc<Call>)> {
    let spanish = "Escribe una función en Python que sume una lista de números.";
    let long = "The signal box stands beside the line. ".repeat(400);
    let talk = [
        ("system", "You are a helpful assistant."),
        ("user", "What is a semaphore?"),
        ("assistant", "A signal with a moving arm."),
        (
            "user",
            "Write to ana.lopez@example.com or call +34 600 123 456; card 4111 1111 1111 1111",
        ),
    ];
    vec![
        ("a short question", call("short", &[("user", "What is the capital of France?")])),
        ("a question about code in Spanish", call("spanish", &[("user", spanish)])),
        ("a long text", call("long", &[("user", &long)])),
        ("a conversation of four messages", call("talk", &talk)),
        ("a call with an image", seen()),
        ("a call without messages", call("empty", &[])),
        ("a call that names an unknown expert", named("no-such-expert")),
    ]
}

fn call(id: &str, messages: &[(&str, &str)]) -> Arc<Call> {
    let message = |(role, content): &(&str, &str)| Message {
        role: (*role).to_string(),
        content: (*content).to_string(),
        origin: None,
    };
    let messages = messages.iter().map(message).collect();
    Arc::new(Call { id: format!("probe-{id}"), messages, ..Call::default() })
}

fn seen() -> Arc<Call> {
    let text = format!("{IMAGE_MARK}What is in this picture?");
    let hints = vec![(HAS_IMAGES.to_owned(), "1".to_owned())];
    Arc::new(Call { hints, ..(*call("seen", &[("user", &text)])).clone() })
}

fn named(expert: &str) -> Arc<Call> {
    let call =
        Call { model: Some(expert.to_string()), ..(*call("named", &[("user", "Hi")])).clone() };
    Arc::new(call)
}

/// A menu for the time before there is a real one.
pub(crate) fn menu() -> Vec<ExpertView> {
    let states = [
        ("general", ExpertState::Resident),
        ("coding", ExpertState::Cold),
        ("technical", ExpertState::Loading),
        ("multilingual_expert", ExpertState::Cold),
        ("multimodal_expert", ExpertState::Failed("no weights".into())),
    ];
    let view = |(domain, state): (&str, ExpertState)| ExpertView {
        id: format!("probe_{domain}"),
        domain: domain.to_string(),
        description: format!("stands in for an expert on {domain}"),
        priority: 1,
        capabilities: Vec::new(),
        context_length: 4096,
        state,
        resident_bytes: 1 << 30,
        queue_depth: 0,
        estimated_wait_ms: None,
        estimated_load_ms: None,
        tokens_per_second: None,
    };
    states.into_iter().map(view).collect()
}

/// The world during a probe: the live menu where there is one, and tokens estimated so that no
/// tokenizer is loaded.
pub(super) struct ProbeWorld(Arc<[ExpertView]>);

impl ProbeWorld {
    pub(super) fn new(live: &dyn World) -> Self {
        let live = live.menu();
        Self(if live.is_empty() { menu() } else { live }.into())
    }
}

#[async_trait]
impl World for ProbeWorld {
    fn menu(&self) -> Vec<ExpertView> {
        self.0.to_vec()
    }

    async fn count_tokens(&self, text: String, expert: Option<String>) -> Result<u32, TokenError> {
        match expert.filter(|id| !self.0.iter().any(|known| known.id == *id)) {
            Some(unknown) => Err(TokenError::UnknownExpert(unknown)),
            None => Ok(u32::try_from(text.len() / 4).unwrap_or(u32::MAX)),
        }
    }
}

/// Runs every hook of `policy`; the first failure is why the upload is refused.
pub(super) async fn run(policy: &Arc<Policy>) -> Result<(), UploadProblem> {
    for hook in &policy.program.surface.hooks {
        self::hook(policy, *hook)
            .await
            .map_err(|(what, failure)| refused(*hook, what, &failure))?;
    }
    Ok(())
}

/// Runs one hook on every recorded call; the first failure, and on what.
pub(super) async fn hook(policy: &Arc<Policy>, hook: Hook) -> Result<(), (&'static str, Failure)> {
    let menu: Arc<[ExpertView]> = policy.lent.world.menu().into();
    for (what, call) in calls() {
        table::probe(hook, policy, call, &menu).await.map_err(|failure| (what, failure))?;
    }
    Ok(())
}

fn refused(hook: Hook, what: &str, failure: &Failure) -> UploadProblem {
    UploadProblem {
        code: "upload_probe_failed".into(),
        text: format!("tried on {what}, its {hook} hook failed: {failure}"),
        mend: "mend the policy and test it with that input".into(),
    }
}
