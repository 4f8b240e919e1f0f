//! `signalbox serve`, as a program: broken experts are listed and hold nobody up, a taken port is
//! named, and a signal ends it in order.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::broken::{Broken, command};

/// A serving process; killed when a test fails before it is stopped.
struct Host {
    process: Child,
    clients: String,
}

impl Host {
    /// Starts on free ports, reads the addresses, and waits until the host is there.
    fn start(broken: &Broken) -> Self {
        let ports = ["--port", "0", "--admin-addr", "127.0.0.1:0"];
        let mut process = command(&["serve", "--config", broken.config()])
            .args(ports)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let clients = lines.find_map(|line| line.strip_prefix("clients").map(str::to_owned));
        let clients = clients.expect("the address of the data plane").trim().to_owned();
        lines.find(|line| line.starts_with("operators")).expect("and of the admin plane");
        let host = Self { process, clients };
        while ureq::get(format!("{}/experts", host.clients)).call().is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        host
    }

    fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}{path}", self.clients)).call().unwrap();
        answer.body_mut().read_json().unwrap()
    }

    /// Sends SIGTERM and waits.
    fn stop(mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

#[test]
fn broken_experts_do_not_stop_the_others() {
    let broken = Broken::new();
    let host = Host::start(&broken);
    let listed = host.get("/experts");
    for id in ["missing", "truncated", "unsupported"] {
        let expert = find(&listed, id);
        assert_eq!(expert["state"], "failed", "{expert:#}");
        assert!(!expert["reason"].as_str().unwrap().is_empty(), "{expert:#}");
    }
    let question = json!({
        "model": "good",
        "temperature": 0,
        "messages": [{ "role": "user", "content": "Hello, how are you?" }],
    });
    let url = format!("{}/v1/chat/completions", host.clients);
    let mut answer = ureq::post(url).send_json(&question).unwrap();
    let answer: Value = answer.body_mut().read_json().unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("Hello!"), "{answer:#}");
    assert_eq!(host.stop(), Some(0));
}

fn find<'l>(listed: &'l Value, id: &str) -> &'l Value {
    let experts = listed["experts"].as_array().unwrap();
    experts.iter().find(|expert| expert["expert_id"] == id).unwrap()
}

#[test]
fn strangers_are_not_served_by_accident() {
    let broken = Broken::new();
    let anywhere = ["--host", "0.0.0.0", "--port", "0", "--admin-addr", "127.0.0.1:0"];
    let output = command(&["serve", "--config", broken.config()]).args(anywhere).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    for mend in ["no keys are configured", "--host 127.0.0.1", "\"open\": true"] {
        assert!(message.contains(mend), "{message}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let broken = Broken::new();
    let output =
        command(&["serve", "--config", broken.config(), "--port", &port]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains(&format!("can't listen for clients on 127.0.0.1:{port}")),
        "{message}"
    );
}
