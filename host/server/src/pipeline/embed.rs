//! Vectors of texts. Policies see a call with a user's message for each text, and may change or refuse it before an expert
//! sees any of them. No route policy is asked, for routers choose who converses, and there is no reply to examine.

use std::sync::Arc;

use signalbox_engine::{EmbedRequest, Embeddable, Embedded, EngineError, Finish, Usage};
use signalbox_policy::{Message, PreVerdict};
use tracing::Instrument;

use super::{
    Pipeline, TokenPrompt,
    call::Call,
    choice::{Choice, Route},
    choose,
    deadline::Deadline,
    end::{End, Ending, Performance},
    meter::Meter,
    refusal::{Refusal, Refused},
};
use crate::decisions::Trace;

/// Texts that are to become vectors, beside the call that shows them to policies.
pub(crate) struct Texts {
    /// By the client's message: the tokens that were sent for it, where it was no text.
    pub(crate) tokens: Vec<Option<TokenPrompt>>,
    /// A text that is too long loses its end.
    pub(crate) truncate: bool,
    /// What traces call it.
    pub(crate) operation: &'static str,
    /// The first one asks for the others, which an expert may score for it.
    pub(crate) ranks: bool,
}

/// Vectors that were made.
pub(crate) struct Vectors {
    /// Who made them.
    pub(crate) model: String,
    /// Who chose it.
    pub(crate) route: Route,
    /// Why.
    pub(crate) reason: String,
    /// What the call's record in the decision log is called.
    pub(crate) decision: String,
    /// One for each of the client's messages, in their order.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// They are the scores of all messages but the first, for that one.
    pub(crate) scores: bool,
    /// What they cost.
    pub(crate) usage: Usage,
}

impl Pipeline {
    /// One call from received to answered, of which every message is a text.
    ///
    /// # Errors
    /// Everything that keeps any of the texts from becoming a vector.
    pub(crate) async fn embed(
        &self,
        call: Call,
        texts: Texts,
        deadline: Deadline,
    ) -> Result<Vectors, Refused> {
        let _charge = call.caller.charged(&call.progress);
        let mut trace = self.decisions.begin(&call);
        trace.embeds(texts.operation);
        let span = trace.span();
        let embedding = self.embedded(call, texts, &mut trace).instrument(span);
        let (model, route, scores, embedded) = match deadline.within(embedding).await.flatten() {
            Ok(embedded) => embedded,
            Err(refusal) => return Err(trace.refused(refusal)),
        };
        let mut meter = Meter::begin(&model, trace, self.telemetry.clone());
        let (reason, decision) = (meter.reason(), meter.decision().to_owned());
        let Embedded { vectors, tokens } = embedded;
        let prompt_tokens = tokens.into_iter().fold(0u32, u32::saturating_add);
        let usage = Usage { prompt_tokens, ..Usage::default() };
        let (ending, performance) = (Ending::Expert(Finish::Stop), Performance::default());
        meter.finished(End { ending, usage: Some(usage), performance });
        Ok(Vectors { model, route, reason, decision, vectors, scores, usage })
    }

    async fn embedded(
        &self,
        mut call: Call,
        texts: Texts,
        trace: &mut Trace,
    ) -> Result<(String, Route, bool, Embedded), Refusal> {
        let policies = self.policies.snapshot_of(&call.caller.stickiness(&call.view.id));
        self.name_expert(&mut call)?;
        self.describe(&mut call);
        trace.shown(&call.view);
        self.lend(&mut call, trace.asks());
        let view = match policies.pre(call.view).await? {
            PreVerdict::Proceed(view) => view,
            PreVerdict::Answer { policy, .. } => {
                trace.answered_by(&policy);
                let message = format!(
                    "policy {policy} answered in the expert's place, so there are no vectors"
                );
                return Err(EngineError::InvalidRequest { message }.into());
            }
        };
        trace.examined();
        // A policy may name another expert, but none that the caller may not ask.
        let menu = self.menu(&call.caller);
        let named = view.model.as_deref();
        let (expert, choice, scores) = match texts.ranks {
            true => choose::ranker(&menu, named)?,
            false => {
                choose::encoder(&menu, named).map(|(expert, choice)| (expert, choice, false))?
            }
        };
        trace.chose(&choice);
        let Choice { route, .. } = choice;
        let left = as_left(view.messages, texts.tokens)?;
        let request = EmbedRequest {
            texts: if scores { paired(left) } else { left },
            truncate: texts.truncate,
            tokens_max: None,
            priority: call.caller.priority(),
            keep_alive: call.wishes.keep_alive,
            progress: call.progress.clone(),
        };
        let embedded = self.experts.embed(&expert, request).await?;
        Ok((expert, route, scores, embedded))
    }
}

/// The first text with each of the others.
fn paired(texts: Vec<Embeddable>) -> Vec<Embeddable> {
    let mut texts = texts.into_iter().filter_map(|text| match text {
        Embeddable::Text(text) => Some(text),
        // No dialect ranks tokens.
        Embeddable::Tokens(_) | Embeddable::Pair(..) => None,
    });
    let first: Arc<str> = texts.next().unwrap_or_default().into();
    texts.map(|text| Embeddable::Pair(first.clone(), text)).collect()
}

/// The texts as policies left them, one for each that the client sent. What a policy changed is another text, and its
/// tokens are others; what it put beside them is no text of the client's.
fn as_left(
    messages: Vec<Message>,
    sent: Vec<Option<TokenPrompt>>,
) -> Result<Vec<Embeddable>, EngineError> {
    let mut left: Vec<Option<String>> = sent.iter().map(|_| None).collect();
    for Message { content, origin, .. } in messages {
        if let Some(place) = origin.and_then(|origin| left.get_mut(origin)) {
            *place = Some(content);
        }
    }
    let texts =
        left.into_iter().zip(sent).enumerate().map(|(at, (text, sent))| match (text, sent) {
            (Some(text), Some(sent)) if text == sent.text => Ok(Embeddable::Tokens(sent.ids)),
            (Some(text), _) => Ok(Embeddable::Text(text)),
            (None, _) => {
                let message = format!(
                    "a policy took text {at} away, so there is no vector of it; leave it out"
                );
                Err(EngineError::InvalidRequest { message })
            }
        });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str, origin: Option<usize>) -> Message {
        Message { role: "user".to_owned(), content: content.to_owned(), origin }
    }

    #[test]
    fn texts_are_what_policies_left_of_them() {
        let tokens = |text: &str| Some(TokenPrompt { ids: vec![7], text: text.to_owned() });
        let messages = || {
            vec![
                message("be brief", None),
                message("kept", Some(1)),
                message("changed", Some(0)),
                message("plain", Some(2)),
            ]
        };
        let sent = || vec![tokens("secret"), tokens("kept"), None];
        let text = |text: &str| Embeddable::Text(text.to_owned());
        let expect = [text("changed"), Embeddable::Tokens(vec![7]), text("plain")];
        assert_eq!(as_left(messages(), sent()).unwrap(), expect);
        let error = as_left(messages()[..3].to_vec(), sent()).unwrap_err().to_string();
        assert!(error.contains("took text 2 away"), "{error}");
    }
}
