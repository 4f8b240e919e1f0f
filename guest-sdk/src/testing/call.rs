//! Calls for native unit tests, built field by field.

use crate::bindings::signalbox::policy::types;
use crate::native;
use crate::{Message, Request, ResponseFormat, Tool, ToolChoice};

/// A call with one user message. Finish with [`RequestBuilder::build`].
pub fn request(text: &str) -> RequestBuilder {
    conversation([("user", text)])
}

/// A call with these (role, content) messages, oldest first.
pub fn conversation<'a>(messages: impl IntoIterator<Item = (&'a str, &'a str)>) -> RequestBuilder {
    let messages = messages.into_iter().map(|(role, text)| Message::new(role, text).into());
    let request = native::Request {
        id: "test-call".to_owned(),
        messages: messages.collect(),
        ..Default::default()
    };
    RequestBuilder(request)
}

/// Makes a [`Request`].
#[derive(Clone, Debug)]
pub struct RequestBuilder(native::Request<'static>);

impl RequestBuilder {
    /// The id of the call; `test-call` otherwise.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.0.id = id.to_owned();
        self
    }

    /// The expert that the client named.
    #[must_use]
    pub fn model(mut self, expert: &str) -> Self {
        self.0.model = Some(expert.to_owned());
        self
    }

    /// Upper bound on generated tokens.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.0.max_tokens = Some(tokens);
        self
    }

    /// Sampling temperature.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.0.temperature = Some(temperature);
        self
    }

    /// The client reads the reply as a stream.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.0.streaming = true;
        self
    }

    /// The call has this many images. Their marks are for the test to write.
    #[must_use]
    pub fn images(self, count: usize) -> Self {
        self.hint("has-images", &count.to_string())
    }

    /// A fact about the call.
    #[must_use]
    pub fn hint(mut self, key: &str, value: &str) -> Self {
        self.0.hints.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Offers a tool without arguments.
    #[must_use]
    pub fn tool(mut self, name: &str) -> Self {
        let (name, parameters) = (name.to_owned(), "{\"type\":\"object\"}".to_owned());
        self.0.tools.push(types::Tool { name, description: String::new(), parameters });
        self
    }

    /// Offers these tools.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Tool>) -> Self {
        self.0.tools.extend(tools.into_iter().map(|tool| {
            let Tool { name, description, parameters } = tool;
            types::Tool { name, description, parameters }
        }));
        self
    }

    /// Whether tools may or have to be called.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.0.tool_choice = choice;
        self
    }

    /// What the reply has to look like.
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.0.response_format = format;
        self
    }

    /// Where the chance of drawing starts.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = Some(seed);
        self
    }

    /// The reply ends before one of these.
    #[must_use]
    pub fn stop<'a>(mut self, stop: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.stop = stop.into_iter().map(str::to_owned).collect();
        self
    }

    /// Who calls.
    #[must_use]
    pub fn caller(mut self, caller: &str) -> Self {
        self.0.caller = caller.to_owned();
        self
    }

    /// The client's name for the conversation.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.0.session = Some(session.to_owned());
        self
    }

    /// A header that the operator lets policies see.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The expert that answered the conversation so far.
    #[must_use]
    pub fn previous_expert(mut self, expert: &str) -> Self {
        self.0.previous_expert = Some(expert.to_owned());
        self
    }

    /// The call.
    pub fn build(self) -> Request<'static> {
        Request(self.0)
    }
}
