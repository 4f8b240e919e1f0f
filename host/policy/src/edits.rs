//! Changes a `pre` policy asks for: checked as they come, applied all together or not at all.

mod parameters;

use std::{collections::BTreeMap, sync::Arc};

use crate::{Call, CallBounds, Failure, Message, Parameters, ResponseFormat};

/// Bytes that an edit costs beside its text, so that empty edits are not free.
const EDIT_COST: u64 = 16;
/// Facts that one policy may add to a call.
const HINTS: usize = 64;
/// Bytes of a fact's key.
const HINT_KEY_BYTES: usize = 64;
/// Bytes of a fact's value.
const HINT_VALUE_BYTES: usize = 1024;
/// Who may speak in a conversation.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// What an `edits` handle stands for. Indexes are those of the call as it was shown.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Edits {
    shown: Arc<Call>,
    /// One per message, so that setting a text again and again holds no more memory.
    contents: BTreeMap<usize, String>,
    inserted: Vec<(usize, Message)>,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    hints: Vec<(String, String)>,
    /// As they are to be, once one of them was set.
    parameters: Option<Parameters>,
    bytes_left: u64,
    limit_bytes: u64,
}

impl Edits {
    /// No edits yet, on `shown`; at most `limit_bytes` of them.
    pub(crate) fn new(shown: Arc<Call>, limit_bytes: u64) -> Self {
        Self {
            shown,
            contents: BTreeMap::new(),
            inserted: Vec::new(),
            max_tokens: None,
            temperature: None,
            hints: Vec::new(),
            parameters: None,
            bytes_left: limit_bytes,
            limit_bytes,
        }
    }

    /// Refuses edits that make of the call what the host does not take.
    pub(crate) fn check(&self, bounds: &CallBounds) -> Result<(), Failure> {
        let messages = self.shown.messages.len() + self.inserted.len();
        if messages > bounds.messages_max && !self.inserted.is_empty() {
            let most = bounds.messages_max;
            let message = format!("it makes a call of {messages} messages, and {most} are read");
            return Err(Failure::Invalid(message));
        }
        let kept = self.shown.messages.iter().enumerate();
        let kept = kept.filter(|(index, _)| !self.contents.contains_key(index));
        let kept: usize = kept.map(|(_, message)| message.content.len()).sum();
        let set: usize = self.contents.values().map(String::len).sum();
        let inserted: usize = self.inserted.iter().map(|(_, message)| message.content.len()).sum();
        let edited = !self.contents.is_empty() || !self.inserted.is_empty();
        if edited && (kept + set + inserted) as u64 > bounds.text_bytes_max {
            return Err(Failure::OutputTooLarge { limit_bytes: bounds.text_bytes_max });
        }
        self.parameters.as_ref().map_or(Ok(()), Parameters::check)
    }

    /// What the call asks for beyond words, to be changed.
    pub(crate) fn parameters(&mut self) -> &mut Parameters {
        self.parameters.get_or_insert_with(|| self.shown.parameters.clone())
    }

    /// A schema counts as what the policy says.
    pub(crate) fn set_response_format(&mut self, format: ResponseFormat) -> Result<(), Failure> {
        if let ResponseFormat::JsonSchema(schema) = &format {
            self.spend(schema.len())?;
        }
        self.parameters().set_response_format(format)
    }

    /// The call with the edits made.
    pub(crate) fn apply(self) -> Call {
        let mut call = Arc::unwrap_or_clone(self.shown);
        for (index, content) in self.contents {
            call.messages[index].content = content;
        }
        call.messages = merge(call.messages, self.inserted);
        call.max_tokens = self.max_tokens.or(call.max_tokens);
        call.temperature = self.temperature.or(call.temperature);
        call.parameters = self.parameters.unwrap_or(call.parameters);
        call.hints.extend(self.hints);
        call
    }

    /// One edit of any kind, for fuzzers.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn any(&mut self, kind: u8, index: usize, message: Message) -> Result<(), Failure> {
        let Message { role, content, .. } = message;
        match kind % 5 {
            0 => self.set_content(index, content),
            1 => self.insert(index, role, content),
            2 => self.set_max_tokens(index as u32),
            3 => self.set_temperature(index as f32 / 10.0 - 1.0),
            _ => self.add_hint(role, content),
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        let limit_bytes = self.limit_bytes;
        let left = self.bytes_left.checked_sub(bytes as u64 + EDIT_COST);
        self.bytes_left = left.ok_or(Failure::OutputTooLarge { limit_bytes })?;
        Ok(())
    }

    pub(crate) fn set_content(&mut self, index: usize, content: String) -> Result<(), Failure> {
        let count = self.shown.messages.len();
        let had = self.shown.messages.get(index).map(|message| message.content.len());
        let had = had.ok_or_else(|| Failure::Invalid(no_message(index, count)))?;
        self.spend(content.len().saturating_sub(had))?;
        self.contents.insert(index, content);
        Ok(())
    }

    pub(crate) fn insert(
        &mut self,
        index: usize,
        role: String,
        content: String,
    ) -> Result<(), Failure> {
        let count = self.shown.messages.len();
        if index > count {
            return Err(Failure::Invalid(no_message(index, count)));
        }
        if !ROLES.contains(&role.as_str()) {
            let message = format!("a message can't have the role '{role}'");
            return Err(Failure::Invalid(message));
        }
        self.spend(role.len() + content.len())?;
        self.inserted.push((index, Message { role, content, origin: None }));
        Ok(())
    }

    pub(crate) fn set_max_tokens(&mut self, max_tokens: u32) -> Result<(), Failure> {
        if max_tokens == 0 {
            return Err(Failure::Invalid("max-tokens must be at least 1".into()));
        }
        self.max_tokens = Some(max_tokens);
        Ok(())
    }

    pub(crate) fn set_temperature(&mut self, temperature: f32) -> Result<(), Failure> {
        if !(0.0..=2.0).contains(&temperature) {
            let message = format!("the temperature must be 0 to 2 and is {temperature}");
            return Err(Failure::Invalid(message));
        }
        self.temperature = Some(temperature);
        Ok(())
    }

    pub(crate) fn add_hint(&mut self, key: String, value: String) -> Result<(), Failure> {
        if self.hints.len() >= HINTS {
            return Err(Failure::Invalid(format!("it adds more than {HINTS} hints")));
        }
        for (text, most) in [(&key, HINT_KEY_BYTES), (&value, HINT_VALUE_BYTES)] {
            if text.len() > most {
                return Err(Failure::OutputTooLarge { limit_bytes: most as u64 });
            }
        }
        self.spend(key.len() + value.len())?;
        self.hints.push((key, value));
        Ok(())
    }
}

fn no_message(index: usize, count: usize) -> String {
    format!("it edits message {index} of a call with {count} messages")
}

/// `inserted` among `messages`, each before the message that had its index.
fn merge(messages: Vec<Message>, mut inserted: Vec<(usize, Message)>) -> Vec<Message> {
    inserted.sort_by_key(|(index, _)| *index);
    let mut inserted = inserted.into_iter().peekable();
    let mut merged = Vec::with_capacity(messages.len() + inserted.len());
    for (at, message) in messages.into_iter().enumerate() {
        while let Some((_, new)) = inserted.next_if(|(index, _)| *index <= at) {
            merged.push(new);
        }
        merged.push(message);
    }
    merged.extend(inserted.map(|(_, new)| new));
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 200;

    fn says(content: &str) -> Message {
        Message { role: "user".into(), content: content.into(), origin: Some(7) }
    }

    /// Inserts what a guest says.
    fn insert(edits: &mut Edits, index: usize, content: &str) -> Result<(), Failure> {
        edits.insert(index, "system".into(), content.into())
    }

    fn edits(texts: &[&str]) -> Edits {
        let messages = texts.iter().map(|text| says(text)).collect();
        Edits::new(Arc::new(Call { messages, ..Call::default() }), LIMIT)
    }

    fn texts(call: &Call) -> Vec<&str> {
        call.messages.iter().map(|message| message.content.as_str()).collect()
    }

    #[test]
    fn indexes_are_those_of_the_call_as_shown() {
        let mut edits = edits(&["a", "b"]);
        insert(&mut edits, 2, "end").unwrap();
        insert(&mut edits, 0, "first").unwrap();
        insert(&mut edits, 0, "second").unwrap();
        insert(&mut edits, 1, "middle").unwrap();
        edits.set_content(1, "B".into()).unwrap();
        let call = edits.apply();
        assert_eq!(texts(&call), ["first", "second", "a", "middle", "B", "end"]);
        let origins: Vec<_> = call.messages.iter().map(|message| message.origin).collect();
        assert_eq!(origins, [None, None, Some(7), None, Some(7), None], "edits keep the origin");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |failure: Result<(), Failure>, expect: &str| {
            assert_eq!(
                failure.unwrap_err().to_string(),
                format!("its answer is invalid: {expect}")
            );
        };
        let mut edits = edits(&["a"]);
        check(edits.set_content(1, "x".into()), "it edits message 1 of a call with 1 messages");
        check(insert(&mut edits, 2, "x"), "it edits message 2 of a call with 1 messages");
        check(
            edits.insert(0, "robot".into(), String::new()),
            "a message can't have the role 'robot'",
        );
        check(edits.set_max_tokens(0), "max-tokens must be at least 1");
        check(edits.set_temperature(f32::NAN), "the temperature must be 0 to 2 and is NaN");
        assert_eq!(texts(&edits.apply()), ["a"]);
    }

    #[test]
    fn only_text_beyond_what_was_there_counts() {
        let mut edits = edits(&["x".repeat(500).as_str()]);
        edits.set_content(0, "y".repeat(500)).unwrap();
        let failure = edits.set_content(0, "y".repeat(700)).unwrap_err();
        assert_eq!(failure, Failure::OutputTooLarge { limit_bytes: LIMIT });
    }

    #[test]
    fn empty_edits_are_not_free() {
        let mut edits = edits(&[]);
        let made = (0..).take_while(|_| edits.insert(0, "user".into(), String::new()).is_ok());
        assert_eq!(made.count() as u64, LIMIT / (EDIT_COST + 4));
    }

    #[test]
    fn hints_are_few_and_short() {
        let mut edits = Edits::new(Arc::default(), 1 << 20);
        let hint = |key: usize, value: usize| ("k".repeat(key), "v".repeat(value));
        let mut add = |(key, value)| edits.add_hint(key, value);
        assert_eq!(add(hint(65, 1)), Err(Failure::OutputTooLarge { limit_bytes: 64 }));
        assert_eq!(add(hint(1, 1025)), Err(Failure::OutputTooLarge { limit_bytes: 1024 }));
        let added = (0..).take_while(|_| add(hint(64, 1024)).is_ok()).count();
        assert_eq!(added, HINTS);
    }

    #[test]
    fn a_call_stays_what_the_host_takes() {
        let bounds = CallBounds { messages_max: 2, text_bytes_max: 9, ..CallBounds::default() };
        let check = |change: fn(&mut Edits) -> Result<(), Failure>, expect| {
            let mut edits = edits(&["1234", "5678"]);
            change(&mut edits).unwrap();
            assert_eq!(edits.check(&bounds).err().map(|failure| failure.code()), expect);
        };
        check(|_| Ok(()), None);
        check(|edits| edits.set_content(0, "12345".into()), None);
        check(|edits| edits.set_content(0, "123456".into()), Some("policy_output_too_large"));
        check(|edits| insert(edits, 0, ""), Some("policy_invalid_answer"));
    }
}
