//! A person at a terminal, with `signalbox chat`: keys as they come from a keyboard, through a pseudo-terminal
//! that `script` of util-linux makes.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::host::{Host, eventually};

const WAIT: Duration = Duration::from_secs(30);

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const BACKSPACE: &str = "\x7f";
const UP: &str = "\x1b[A";

/// What a terminal is told when a line begins: text that is pasted comes in brackets.
const LINE_BEGINS: &str = "\x1b[?2004h";

/// A conversation at a terminal.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
    lines: usize,
}

impl Terminal {
    fn open(host: &Host) -> Self {
        let chat =
            format!("{} chat --url {}", env!("CARGO_BIN_EXE_signalbox-under-test"), host.url);
        let mut child = Command::new("script")
            .args(["-q", "-e", "-c", &chat, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = child.stdin.take().unwrap();
        let screen = Arc::<Mutex<String>>::default();
        let (mut shown, written) = (child.stdout.take().unwrap(), screen.clone());
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = shown.read(&mut piece) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        Self { child, keyboard, screen, lines: 0 }
    }

    /// Into the next line, once it is asked for.
    fn types(&mut self, keys: &[&str]) {
        self.lines += 1;
        self.shows(LINE_BEGINS, self.lines);
        self.keyboard.write_all(keys.concat().as_bytes()).unwrap();
    }

    /// Waits until `text` was shown so many times.
    fn shows(&self, text: &str, times: usize) {
        eventually(&format!("{text:?}, {times} times"), WAIT, || {
            self.screen.lock().unwrap().matches(text).count() >= times
        });
    }
}

#[test]
fn lines_are_edited_and_remembered_and_ctrl_d_ends() {
    let host = Host::start();
    let answer = host.ask("auto", "Hello!");
    let mut terminal = Terminal::open(&host);
    terminal.types(&["Hellp", BACKSPACE, "o!\r"]);
    terminal.shows(&answer, 1);
    terminal.types(&["/new\r"]);
    terminal.types(&[UP, UP, "\r"]);
    terminal.shows(&answer, 2);
    terminal.types(&["never sent", CTRL_C]);
    terminal.shows("/bye ends", 1);
    terminal.types(&[CTRL_D]);
    assert!(terminal.child.wait().unwrap().success());
}
