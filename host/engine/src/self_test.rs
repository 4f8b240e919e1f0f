//! One expert on its own, from files to tokens: what `signalbox check --deep` runs before anybody
//! depends on it. It goes the way that serving goes, and leaves nothing behind.

use std::time::Duration;

use crate::{
    EmbedRequest, Embeddable, EngineError, Event, ExpertSettings, Fleet, FleetLimits,
    FleetSettings, LazyLoading, Message, PackFiles, Prompt, Request, Sampling, Templates, Timings,
    TokenStream, Usage,
};

/// What it is asked. Any model goes on from here, whatever it knows.
const QUESTION: &str = "Hello! Who are you?";
/// Tokens it has to generate, or its own end before that.
const TOKENS: u32 = 8;

/// What an expert did.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfTest {
    /// From the first byte read to ready.
    pub load: Duration,
    /// Its chat template rendered the question; without one, the question was continued as text.
    pub chat: bool,
    /// Elements of the vector that it made of the question; `None` where it replies.
    pub vector_width: Option<usize>,
    /// What it generated, greedily.
    pub text: String,
    /// Tokens of that, the end token included.
    pub tokens: u32,
    /// Decode speed; `None` when the first token was the last.
    pub tokens_per_second: Option<f64>,
}

/// Loads an expert, lets it generate a few tokens, and frees everything. Needs a tokio runtime.
///
/// # Errors
/// Why it can't be loaded or does not answer: broken files, no memory, a template that refuses.
pub async fn self_test(
    settings: &ExpertSettings,
    templates: &Templates,
    memory_bytes_max: u64,
) -> Result<SelfTest, EngineError> {
    let alone = LazyLoading {
        enabled: true,
        warmup_pool_size: 0,
        max_loaded_experts: 1,
        auto_unload_after: None,
        prefetch: false,
    };
    let fleet = Fleet::start(FleetSettings {
        experts: vec![settings.clone()],
        lazy_loading: alone,
        memory_bytes_max,
        limits: FleetLimits { queue_max: 1 },
        templates: templates.clone(),
        pack_files: PackFiles::Off,
    });
    let tested = rehearse(&fleet, &settings.id).await;
    fleet.shutdown(Duration::ZERO).await;
    tested
}

async fn rehearse(fleet: &Fleet, id: &str) -> Result<SelfTest, EngineError> {
    fleet.load(id).await?;
    let status = fleet.status(id);
    let status = status.ok_or_else(|| EngineError::UnknownExpert { expert: id.to_owned() })?;
    let can = |what: &str| status.capabilities.iter().any(|known| known == what);
    let load = status.last_load.unwrap_or_default();
    if can("embeddings") {
        return embed(fleet, id, load, Embeddable::Text(QUESTION.to_owned())).await;
    }
    if can("rerank") {
        let pair = Embeddable::Pair(QUESTION.into(), QUESTION.to_owned());
        return embed(fleet, id, load, pair).await;
    }
    let chat = status.capabilities.iter().any(|known| known == "chat");
    let prompt = match chat {
        true => vec![Message::text("user", QUESTION)].into(),
        false => Prompt::Text(QUESTION.to_owned()),
    };
    let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let request = Request { sampling, max_tokens: Some(TOKENS), ..Request::new(prompt) };
    let (text, usage, timings) = listen(fleet.generate(id, request).await?, id).await?;
    let tokens = usage.completion_tokens;
    let decoded = tokens.saturating_sub(1); // the first one is the prefill's
    let seconds = timings.decode.as_secs_f64();
    Ok(SelfTest {
        load: status.last_load.unwrap_or_default(),
        chat,
        vector_width: None,
        text,
        tokens,
        tokens_per_second: (decoded > 0 && seconds > 0.0).then(|| f64::from(decoded) / seconds),
    })
}

/// An expert that makes vectors makes one of the question, and one that scores pairs scores it for itself.
async fn embed(
    fleet: &Fleet,
    id: &str,
    load: Duration,
    text: Embeddable,
) -> Result<SelfTest, EngineError> {
    let texts = vec![text];
    let embedded = fleet.embed(id, EmbedRequest { texts, ..EmbedRequest::default() }).await?;
    let vector = embedded.vectors.into_iter().next().unwrap_or_default();
    if !vector.iter().all(|x| x.is_finite()) || vector.iter().all(|x| *x == 0.0) {
        let problem = "the vector of a greeting is none: its numbers are not finite, or all zero";
        return Err(EngineError::Crashed { expert: id.to_owned(), problem: problem.to_owned() });
    }
    Ok(SelfTest {
        load,
        chat: false,
        vector_width: Some(vector.len()),
        text: String::new(),
        tokens: 0,
        tokens_per_second: None,
    })
}

/// A reply to its end.
async fn listen(mut reply: TokenStream, id: &str) -> Result<(String, Usage, Timings), EngineError> {
    let mut text = String::new();
    while let Some(event) = reply.next().await {
        match event {
            Event::Text(more) => text.push_str(&more),
            Event::Finished { usage, timings, .. } => return Ok((text, usage, timings)),
            Event::Logprobs(_) | Event::Weighed(_) => {} // nobody asked for them
            Event::Failed(error) => return Err(error),
        }
    }
    let problem = "its reply ended without an end".to_owned();
    Err(EngineError::Crashed { expert: id.to_owned(), problem })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tokenizer::tests::toy;

    /// A toy as it is declared by itself.
    pub(crate) fn expert(id: &str) -> ExpertSettings {
        ExpertSettings::new(id, toy(id))
    }

    #[tokio::test]
    async fn a_sound_expert_passes() {
        let tested = self_test(&expert("phi4_fast"), &Templates::InProcess, 1 << 30).await.unwrap();
        assert!(tested.chat && (1..=TOKENS).contains(&tested.tokens), "{tested:?}");
        assert!(!tested.text.is_empty() && tested.load > Duration::ZERO, "{tested:?}");
    }

    #[tokio::test]
    async fn a_broken_one_says_why() {
        let message = self_test(&expert("nowhere"), &Templates::InProcess, 1 << 30)
            .await
            .unwrap_err()
            .to_string();
        assert!(message.contains("nowhere") && message.contains("does not exist"), "{message}");
        let message = self_test(&expert("phi4_fast"), &Templates::InProcess, 1 << 20)
            .await
            .unwrap_err()
            .to_string();
        assert!(message.contains("raise the memory limit"), "{message}");
    }
}
