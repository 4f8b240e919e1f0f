//! Between the engine's words and the policies'. Neither crate knows the other; they meet here.

use std::time::Duration;

use signalbox_engine::{Conversation, ExpertState, ExpertStatus, Prompt, Request, Sampling};
use signalbox_policy::{ExpertState as StateView, ExpertView};

use super::call::{Bounds, Call, Form};

/// What a policy may know about an expert.
pub fn expert_view(expert: ExpertStatus) -> ExpertView {
    let description = match expert.use_cases.as_slice() {
        [] => expert.description,
        cases => {
            let said = format!("{} Use cases: {}", expert.description, cases.join("; "));
            said.trim_start().to_owned()
        }
    };
    ExpertView {
        id: expert.id,
        domain: expert.domain,
        description,
        priority: expert.priority,
        capabilities: expert.capabilities,
        context_length: expert.context_length,
        state: state_view(expert.state),
        resident_bytes: expert.weight_bytes,
        queue_depth: u32::try_from(expert.queue_depth).unwrap_or(u32::MAX),
        estimated_wait_ms: expert.estimated_wait.map(millis),
        estimated_load_ms: expert.last_load.map(millis),
        tokens_per_second: expert.tokens_per_second,
    }
}

fn state_view(state: ExpertState) -> StateView {
    match state {
        ExpertState::Resident => StateView::Resident,
        ExpertState::Loading => StateView::Loading,
        ExpertState::Cold => StateView::Cold,
        ExpertState::Failed(reason) => StateView::Failed(reason),
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// The engine's request for a call as the policies left it.
pub(super) fn request(call: &Call, bounds: &Bounds) -> Request {
    let max_tokens = call.view.max_tokens.unwrap_or(bounds.tokens_default);
    Request {
        prompt: prompt(call),
        sampling: Sampling { temperature: call.view.temperature, ..call.sampling.clone() },
        max_tokens: Some(max_tokens.min(bounds.tokens_max)),
        stop: call.stop.clone(),
        ends: call.ends.clone(),
        format: call.wishes.format.clone(),
        labels: vec![],
        logprobs: call.wishes.logprobs,
        prediction: call.wishes.prediction.clone(),
        scope: call.caller.number(),
        priority: call.caller.priority(),
        keep_alive: call.wishes.keep_alive,
        progress: call.progress.clone(),
    }
}

/// A text prompt is one message; those that policies put around it become lines of their own.
pub(super) fn prompt(call: &Call) -> Prompt {
    let messages = &call.view.messages;
    match call.form {
        Form::Chat => Prompt::Chat(Conversation {
            messages: call.turns(),
            tools: call.wishes.tools.clone(),
            opening: call.wishes.opening,
        }),
        Form::Text if call.wishes.infill => infill(messages),
        Form::Text => {
            let texts: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
            match &call.wishes.tokens {
                // What a policy changed is another text, and its tokens are others.
                Some(sent) if texts == [sent.text.as_str()] => Prompt::Tokens(sent.ids.clone()),
                _ => Prompt::Text(texts.join("\n")),
            }
        }
    }
}

/// What stands before the gap, with what policies put beside it, and what stands behind it.
fn infill(messages: &[signalbox_policy::Message]) -> Prompt {
    let texts = |behind: bool| -> String {
        let side = messages.iter().filter(|message| (message.origin == Some(1)) == behind);
        side.map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
    };
    Prompt::Infill { before: texts(false), behind: texts(true) }
}

#[cfg(test)]
mod tests {
    use signalbox_engine::{Ends, Message, Progress};

    use super::*;
    use crate::{
        caller::Caller,
        pipeline::{Pictures, Wishes},
    };

    const BOUNDS: Bounds = Bounds {
        answer: Duration::from_secs(1),
        tokens_default: 64,
        tokens_max: 128,
        member_tokens_max: 16,
        ask_cache_bytes_max: 0,
    };

    fn call(form: Form, texts: &[&str], max_tokens: Option<u32>) -> Call {
        let message = |text: &&str| signalbox_policy::Message {
            role: "user".into(),
            content: (*text).into(),
            origin: None,
        };
        let view = signalbox_policy::Call {
            id: "id".into(),
            caller: 1,
            model: None,
            messages: texts.iter().map(message).collect(),
            max_tokens,
            temperature: Some(0.0),
            streaming: false,
            hints: vec![],
            ..signalbox_policy::Call::default()
        };
        let pictures = Pictures::default();
        let stop = vec!["END".into()];
        Call {
            view,
            caller: Caller::at(None),
            pictures,
            wishes: Wishes::default(),
            form,
            sampling: Sampling { top_k: Some(5), seed: Some(7), ..Sampling::default() },
            stop,
            ends: Ends::default(),
            progress: Progress::default(),
        }
    }

    #[test]
    fn a_text_prompt_is_its_messages_line_by_line() {
        let text = request(&call(Form::Text, &["context", "once upon"], None), &BOUNDS);
        assert_eq!(text.prompt, Prompt::Text("context\nonce upon".into()));
        let chat = request(&call(Form::Chat, &["hello"], None), &BOUNDS);
        let hello = Message::text("user", "hello");
        assert_eq!(chat.prompt, vec![hello].into());
        assert_eq!((chat.sampling.seed, chat.sampling.top_k), (Some(7), Some(5)));
        assert_eq!(chat.stop, ["END"]);
    }

    #[test]
    fn tokens_are_bounded_whoever_asks() {
        let bound = |asked| request(&call(Form::Chat, &["a"], asked), &BOUNDS).max_tokens;
        assert_eq!([bound(None), bound(Some(3)), bound(Some(999))], [Some(64), Some(3), Some(128)]);
    }
}
