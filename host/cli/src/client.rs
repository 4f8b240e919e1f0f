//! A host seen from outside: HTTP with clear errors. Used by `chat`, `policy`, `experts` and the
//! demo's smoke test.

use std::{
    io::{BufRead, BufReader, Read},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use signalbox_server::wire::{
    completions::Completion,
    error::{ErrorAnswer, ErrorBody},
    policies::SIGNATURE_HEADER,
    requests::ChatRequest,
};
use ureq::{
    Agent, Body,
    http::{Method, Request, Response},
};

/// A host that is there accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Loading a large expert may come before the first byte.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(900);
/// Most bytes of a JSON answer.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// One plane of a host.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// A JSON answer with the headers that name who gave it.
pub(crate) struct Answer {
    /// `x-signalbox-expert`.
    pub(crate) expert: Option<String>,
    /// `x-signalbox-route`.
    pub(crate) route: Option<String>,
    /// The body.
    pub(crate) body: Value,
}

/// What goes up with a request.
enum Payload<'p> {
    Nothing,
    Json(String),
    Component(&'p [u8], Option<&'p str>),
}

/// What a reply says while it streams.
pub(crate) enum Heard {
    /// What it waits for before it begins.
    Waits(String),
    /// More of it, and whose it is.
    Text {
        /// The text.
        text: String,
        /// The expert, or the policy that answered instead.
        from: String,
    },
}

/// A reply as it streams.
struct Events {
    lines: BufReader<Box<dyn Read + Send>>,
}

impl Client {
    /// A host at `base`, as in `http://127.0.0.1:8080`.
    pub(crate) fn new(base: &str, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .build();
        Self { agent: config.into(), base: root(base).to_owned(), token }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// No host there, or the host's own error.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        Ok(self.answer(Method::GET, path, Payload::Nothing)?.body)
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// No host there, or the host's own error.
    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        self.answer(Method::POST, path, Payload::Json(serde_json::to_string(body)?))
    }

    /// `POST path` without a body.
    ///
    /// # Errors
    /// No host there, or the host's own error.
    pub(crate) fn post_nothing(&self, path: &str) -> Result<Value> {
        Ok(self.answer(Method::POST, path, Payload::Nothing)?.body)
    }

    /// `PUT path` with a JSON body.
    ///
    /// # Errors
    /// No host there, or the host's own error.
    pub(crate) fn put(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        Ok(self.answer(Method::PUT, path, Payload::Json(serde_json::to_string(body)?))?.body)
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// No host there, or the host's own error.
    pub(crate) fn delete(&self, path: &str) -> Result<Value> {
        Ok(self.answer(Method::DELETE, path, Payload::Nothing)?.body)
    }

    /// `POST path` with the bytes of a component, and the text of its signature.
    ///
    /// # Errors
    /// No host there, or the host's own error.
    pub(crate) fn upload(
        &self,
        path: &str,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<Value> {
        let payload = Payload::Component(component, signature);
        Ok(self.answer(Method::POST, path, payload)?.body)
    }

    /// Asks for a chat reply and listens to it on a thread of its own, so that the caller can do something
    /// else meanwhile. Nobody who listens any more ends the reply.
    pub(crate) fn listen(&self, request: ChatRequest) -> Receiver<Result<Heard>> {
        let (heard, listener) = mpsc::channel();
        let client = self.clone();
        thread::spawn(move || {
            let ended = client.stream(&request).and_then(|mut events| {
                while let Some(next) = events.hear()? {
                    if heard.send(Ok(next)).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            if let Err(error) = ended {
                // Fails only when nobody listens, and then nobody wants to know.
                let _ = heard.send(Err(error));
            }
        });
        listener
    }

    /// Asks for a streamed chat reply.
    ///
    /// # Errors
    /// No host there, or the host's own error before the first token.
    fn stream(&self, request: &ChatRequest) -> Result<Events> {
        let payload = Payload::Json(serde_json::to_string(request)?);
        let response = checked(self.send(Method::POST, "/v1/chat/completions", payload)?)?;
        Ok(Events { lines: BufReader::new(Box::new(response.into_body().into_reader())) })
    }

    fn answer(&self, method: Method, path: &str, payload: Payload<'_>) -> Result<Answer> {
        let mut response = checked(self.send(method, path, payload)?)?;
        Ok(Answer {
            expert: header(&response, "x-signalbox-expert"),
            route: header(&response, "x-signalbox-route"),
            body: json(&mut response)?,
        })
    }

    fn send(&self, method: Method, path: &str, payload: Payload<'_>) -> Result<Response<Body>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let malformed = || format!("{} is no URL or the token can't be sent", self.base);
        let sent = match payload {
            Payload::Nothing => self.agent.run(request.body(()).with_context(malformed)?),
            Payload::Json(text) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(text).with_context(malformed)?)
            }
            Payload::Component(bytes, signature) => {
                let mut request = request.header("content-type", "application/wasm");
                if let Some(signature) = signature {
                    request = request.header(SIGNATURE_HEADER, BASE64_STANDARD.encode(signature));
                }
                self.agent.run(request.body(bytes).with_context(malformed)?)
            }
        };
        sent.map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        let mend = "start one with `signalbox demo` or `signalbox serve`, or name another";
        match error {
            ureq::Error::BadUri(_) => anyhow!("{} is no URL; write http://HOST:PORT", self.base),
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                anyhow!("no host answers at {} ({error}); {mend}", self.base)
            }
            other => anyhow!("{}: {other}", self.base),
        }
    }
}

/// A host's address without the `/v1` that other clients want behind it.
fn root(base: &str) -> &str {
    let base = base.trim_end_matches('/');
    base.strip_suffix("/v1").unwrap_or(base).trim_end_matches('/')
}

impl Events {
    /// What comes next; `None` when the reply is complete.
    ///
    /// # Errors
    /// A reply that ends early, with the host's reason.
    fn hear(&mut self) -> Result<Option<Heard>> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).context("the reply broke off")? == 0 {
                bail!("the reply broke off: the host went away");
            }
            if let Some(comment) = line.strip_prefix(':') {
                match comment.trim() {
                    "" => continue,
                    comment => return Ok(Some(Heard::Waits(comment.to_owned()))),
                }
            }
            match line.trim().strip_prefix("data:").map(str::trim) {
                None => continue,
                Some("[DONE]") => return Ok(None),
                Some(event) => {
                    let (text, from) = piece(event)?;
                    if !text.is_empty() {
                        return Ok(Some(Heard::Text { text, from }));
                    }
                }
            }
        }
    }
}

/// An answer as the type that this program knows.
///
/// # Errors
/// A host that answers something else, being another version or no signalbox.
pub(crate) fn read<T: DeserializeOwned>(answer: Value) -> Result<T> {
    serde_json::from_value(answer)
        .context("the answer is not what this version expects; use the host's own version")
}

/// The text in one event of a stream, and whose it is.
fn piece(event: &str) -> Result<(String, String)> {
    let event: Value = serde_json::from_str(event).context("the host sent no JSON")?;
    if event.get("error").is_some() {
        bail!("{}", described(&read::<ErrorAnswer>(event)?.error));
    }
    let completion = read::<Completion>(event)?;
    let from = completion.model.clone();
    Ok((completion.into_text(), from))
}

/// A good answer, or the error in it.
fn checked(mut response: Response<Body>) -> Result<Response<Body>> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    match serde_json::from_value::<ErrorAnswer>(json(&mut response)?) {
        Ok(ErrorAnswer { error }) => bail!("{} (HTTP {})", described(&error), status.as_u16()),
        Err(_) => bail!("the host answered HTTP {status} without a reason; is it a signalbox?"),
    }
}

fn json(response: &mut Response<Body>) -> Result<Value> {
    let body = response.body_mut().with_config().limit(BODY_BYTES_MAX);
    let text = body.read_to_string().context("the answer broke off")?;
    match text.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_str(&text).context("the answer is no JSON; is it a signalbox?"),
    }
}

/// An error object in one line: message and code.
fn described(error: &ErrorBody) -> String {
    format!("{} [{}]", error.message, error.code)
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_may_end_like_those_of_other_clients() {
        let check = |base| assert_eq!(root(base), "http://h:1", "{base}");
        ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1//v1/"]
            .into_iter()
            .for_each(check);
    }

    #[test]
    fn a_piece_is_text_or_an_error() {
        let chunk = |choices: Value| {
            let event = json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                "model": "phi4_fast", "choices": choices,
            });
            let (text, from) = piece(&event.to_string()).unwrap();
            assert_eq!(from, "phi4_fast");
            text
        };
        let choice = json!({ "index": 0, "delta": { "content": "Bon" }, "finish_reason": null });
        assert_eq!(chunk(json!([choice])), "Bon");
        assert_eq!(chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }])), "");
        assert_eq!(chunk(json!([])), "");
        let error = json!({
            "message": "broke", "type": "server_error", "param": null,
            "code": "expert_crashed", "blame": "expert",
        });
        let error = piece(&json!({ "error": error }).to_string()).unwrap_err().to_string();
        assert_eq!(error, "broke [expert_crashed]");
    }
}
