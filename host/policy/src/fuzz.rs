//! What strangers send, as fuzzers send it: any bytes. The suite runs each target for a second on bytes
//! drawn at random; `tests/fuzz` runs it under coverage guidance until it is stopped.

use std::{sync::Arc, time::Duration};

use crate::{
    Call, CallBounds, Limits, Message, PolicyRef,
    bindings::exports::signalbox::policy::route::{Consensus, ConsensusMode, Decision, Plan},
    edits::Edits,
    hook::{
        post::window::{Action, Window},
        route,
    },
    registry::probe,
    surface::Surface,
};

/// An upload: judged, whatever it is. What passes has a hook.
pub fn upload(bytes: &[u8]) {
    if let Ok(surface) = Surface::read(bytes, &Limits::default()) {
        assert!(!surface.hooks.is_empty(), "a policy without a hook passed");
    }
}

/// What a guest answers in each hook: taken within bounds or refused.
pub fn answer(bytes: &[u8]) {
    let mut said = Said(bytes);
    match said.byte() % 3 {
        0 => decision(&mut said),
        1 => edits(&mut said),
        _ => reply(&mut said),
    }
}

/// A guest's words, made of bytes; zeros and nothing when they are used up.
struct Said<'b>(&'b [u8]);

impl Said<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Mostly short; now and then longer than anything may be.
    fn text(&mut self) -> String {
        let length = match self.byte() {
            255 => 1 << 20,
            length => usize::from(length),
        };
        let unit = char::from_u32(self.word() % 0x3000).unwrap_or('\u{202e}');
        unit.to_string().repeat(length)
    }

    fn several<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 80).map(|_| one(self)).collect()
    }

    /// Now and then one that is there.
    fn expert(&mut self) -> String {
        let menu = probe::menu();
        let at = usize::from(self.byte());
        menu.get(at % (menu.len() + 1)).map_or_else(|| self.text(), |expert| expert.id.clone())
    }
}

fn decision(said: &mut Said<'_>) {
    let plan = match said.byte() % 4 {
        0 => Plan::Expert(said.expert()),
        1 => Plan::Fallback(said.several(Said::expert)),
        2 => Plan::Consensus(Consensus {
            members: said.several(Said::expert),
            judge: (said.byte().is_multiple_of(2)).then(|| said.expert()),
            mode: ConsensusMode::Parallel,
        }),
        _ => Plan::Other(said.text()),
    };
    let decision = Decision {
        plan,
        reason: said.text(),
        confidence: f32::from_bits(said.word()),
        tags: said.several(|said| (said.text(), said.text())),
    };
    let (menu, bounds) = (probe::menu(), CallBounds::default());
    let policy = PolicyRef { name: "any".into(), revision: "0".into() };
    if let Ok(decision) = route::judged(policy, decision, &menu, &bounds) {
        let mut experts = decision.plan.experts();
        assert!(experts.all(|id| menu.iter().any(|expert| expert.id == *id)), "nobody was chosen");
    }
}

fn edits(said: &mut Said<'_>) {
    let message = |said: &mut Said<'_>| {
        let role = if said.byte().is_multiple_of(4) { said.text() } else { "user".to_owned() };
        Message { role, content: said.text(), origin: None }
    };
    let call = Call { messages: said.several(message), ..Call::default() };
    let bounds = CallBounds { messages_max: 64, text_bytes_max: 1 << 16, members_max: 5 };
    let few = call.messages.len() <= bounds.messages_max;
    let mut edits = Edits::new(Arc::new(call), 1 << 12);
    for _ in 0..said.byte() {
        // What is refused ends the call; here the rest is tried on what was taken so far.
        let _ = edits.any(said.byte(), said.word() as usize % 100, message(said));
    }
    if edits.check(&bounds).is_ok() {
        let call = edits.apply();
        assert!(!few || call.messages.len() <= bounds.messages_max, "more messages than are read");
    }
}

fn reply(said: &mut Said<'_>) {
    let limits = Limits { output_bytes: 1024, held_bytes: 256, ..Limits::default() };
    let mut window = Window::new(&limits);
    for _ in 0..said.byte() {
        let (text, last) = (said.text(), said.byte().is_multiple_of(8));
        window.extend(&text, Duration::from_millis(said.word().into()));
        let action = match said.byte() % 4 {
            0 => Action::Emit,
            1 => Action::Hold,
            2 => Action::Replace { text: said.text(), keep: said.word() as usize % 300 },
            _ => Action::Stop(said.text()),
        };
        let shown = window.text().len();
        match window.apply(action, last, Duration::from_millis(said.byte().into())) {
            Ok(through) => {
                assert!(through.text.len() <= shown + 1024, "more text than a policy may add");
                assert!(window.text().len() <= 256, "more text held than may be");
                assert!(!last || window.text().is_empty(), "text held at the end");
            }
            Err(_) => drop(window.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMOKE: Duration = Duration::from_secs(1);

    /// Edits of a component that passes up to its imports, so that more than its head is read.
    #[test]
    fn any_upload_is_judged() {
        let sound = wat::parse_str(
            "(component (core module $m (memory 1) (func (export \"f\") (local i32) (block (nop))))
                (core instance $i (instantiate $m)) (type $t (func))
                (func $f (type $t) (canon lift (core func $i \"f\"))) (export \"f\" (func $f)))",
        );
        let sound = sound.unwrap();
        bolero::check!().with_test_time(SMOKE).for_each(|edits: &[u8]| {
            let mut bytes = sound.clone();
            for edit in edits.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
                bytes[at] = edit[2];
            }
            upload(&bytes);
            upload(edits);
        });
    }

    #[test]
    fn any_answer_is_taken_within_bounds_or_refused() {
        bolero::check!().with_test_time(SMOKE).for_each(answer);
    }
}
