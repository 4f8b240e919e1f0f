//! A small client: JSON in, JSON out, and server-sent events as a list.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

/// One answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("status {}, not JSON ({e}): {}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        &found.unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers)).1
    }

    /// The stable code of an error object, after checking that the rest of it is there.
    pub(crate) fn error_code(&self) -> String {
        let body = self.json();
        let error = &body["error"];
        assert!(error["message"].as_str().is_some_and(|m| m.len() > 10), "no message: {body}");
        assert!(error["type"].is_string(), "no type: {body}");
        error["code"].as_str().unwrap_or_else(|| panic!("no code: {body}")).to_owned()
    }

    /// The body of a call that had to succeed.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "status {}: {}", self.status, self.text);
        self.json()
    }
}

/// A request that a test's own server got.
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// Reads one, with a body as long as it says.
    pub(crate) fn read(from: &mut impl BufRead) -> Self {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (method, path) = (word(), word());
        let mut received = Self { method, path, headers: Vec::new(), body: Vec::new() };
        loop {
            line.clear();
            from.read_line(&mut line).unwrap();
            let Some((name, value)) = line.split_once(':') else { break };
            received.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length = received.header("content-length").map_or(0, |value| value.parse().unwrap());
        received.body = vec![0; length];
        from.read_exact(&mut received.body).unwrap();
        received
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.unwrap_or_else(|e| panic!("no answer: {e}"));
    let headers = response.headers().iter();
    let headers = headers.map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
    let status = response.status().as_u16();
    Answer { status, headers, text: response.body_mut().read_to_string().unwrap() }
}

pub(crate) fn get(url: &str) -> Answer {
    answer(agent().get(url).call())
}

pub(crate) fn get_with(url: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(agent().get(url), |request, (name, value)| request.header(*name, *value));
    answer(request.call())
}

pub(crate) fn post(url: &str, body: &Value) -> Answer {
    post_bytes(url, "application/json", body.to_string().as_bytes())
}

pub(crate) fn post_with(url: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = agent().post(url);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.header("content-type", "application/json");
    answer(request.send(body.to_string().as_bytes()))
}

pub(crate) fn post_bytes(url: &str, content_type: &str, body: &[u8]) -> Answer {
    answer(agent().post(url).header("content-type", content_type).send(body))
}

pub(crate) fn delete(url: &str) -> Answer {
    answer(agent().delete(url).call())
}

pub(crate) fn put(url: &str, body: &Value) -> Answer {
    let sent = agent().put(url).header("content-type", "application/json");
    answer(sent.send(body.to_string().as_bytes()))
}

/// A POST from this address of the loopback network: to the host, another caller.
pub(crate) fn post_from(address: [u8; 4], url: &str, body: &Value) -> Answer {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = body.to_string();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect_from(address, host.parse().unwrap());
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, text) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
    Answer { status, headers, text: text.to_owned() }
}

fn connect_from(address: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// The body of a chat call with one user message; `model` is `auto` or an expert id.
pub(crate) fn chat_body(model: &str, prompt: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0})
}

/// A streamed chat, read event by event.
pub(crate) struct Events {
    lines: std::io::Lines<BufReader<Box<dyn Read>>>,
    pub(crate) expert: String,
    pub(crate) route: String,
}

impl Events {
    /// Begin a streamed chat that has to be accepted.
    pub(crate) fn open(base: &str, mut body: Value) -> Self {
        body["stream"] = json!(true);
        let url = format!("{base}/v1/chat/completions");
        let sent = agent().post(url).header("content-type", "application/json");
        let response = sent.send(body.to_string().as_bytes()).unwrap();
        assert_eq!(response.status(), 200, "a stream has to begin with 200");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        let (expert, route) = (header("x-signalbox-expert"), header("x-signalbox-route"));
        let reader: Box<dyn Read> = Box::new(response.into_body().into_reader());
        Self { lines: BufReader::new(reader).lines(), expert, route }
    }

    /// The data of the next event, `[DONE]` included; `None` at the end of the body.
    pub(crate) fn next_data(&mut self) -> Option<String> {
        for line in self.lines.by_ref() {
            let line = line.expect("the stream was torn");
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(data.to_owned());
            }
            assert!(line.is_empty() || line.starts_with(':'), "not an event line: {line}");
        }
        None
    }

    /// The whole reply: its text and every event. Fails unless it ends with `[DONE]`.
    pub(crate) fn finish(mut self) -> (String, Vec<Value>) {
        let mut events = Vec::new();
        loop {
            let data = self.next_data().expect("the stream ended without [DONE]");
            if data == "[DONE]" {
                break;
            }
            events.push(serde_json::from_str::<Value>(&data).unwrap());
        }
        assert!(self.next_data().is_none(), "events after [DONE]");
        let delta = |e: &Value| e["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        (events.iter().filter_map(delta).collect(), events)
    }
}
