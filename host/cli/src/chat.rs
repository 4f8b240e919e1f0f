//! `signalbox chat`: talk to a running host, one message or a whole conversation.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    args::Chat,
    client::Client,
    term::{self, say},
};

/// Sends one message, or the lines of standard input one by one as a conversation.
pub(crate) fn run(args: Chat) -> Result<()> {
    let mut talk = Conversation {
        client: Client::new(&args.plane.url, None),
        model: args.model,
        messages: Vec::new(),
    };
    if !args.message.is_empty() {
        return talk.ask(&args.message.join(" "));
    }
    let terminal = io::stdin().is_terminal();
    if terminal {
        eprintln!("Talking to {}. /new forgets what was said, Ctrl-D ends.", args.plane.url);
    }
    loop {
        if terminal {
            eprint!("> ");
            io::stderr().flush().ok();
        }
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).context("standard input can't be read")? == 0 {
            return Ok(());
        }
        match line.trim() {
            "" => {}
            "/new" => talk.messages.clear(),
            // At a terminal one failed question does not end the conversation.
            text => match talk.ask(text) {
                Err(error) if terminal => eprintln!("{error:#}"),
                outcome => outcome?,
            },
        }
    }
}

struct Conversation {
    client: Client,
    model: String,
    messages: Vec<Value>,
}

impl Conversation {
    /// Prints the reply as it comes. A question that fails is not remembered.
    fn ask(&mut self, text: &str) -> Result<()> {
        self.messages.push(json!({ "role": "user", "content": text }));
        match self.reply() {
            Ok(reply) => {
                self.messages.push(json!({ "role": "assistant", "content": reply }));
                Ok(())
            }
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    fn reply(&self) -> Result<String> {
        let body = json!({ "model": self.model, "messages": self.messages, "stream": true });
        let waiting = term::Spinner::start("waiting for the first token");
        let mut events = self.client.stream(&body)?;
        let first = events.next()?;
        drop(waiting);
        if let Some(expert) = events.expert.as_ref().filter(|_| io::stderr().is_terminal()) {
            eprintln!("{expert}:");
        }
        let mut reply = String::new();
        let mut next = first;
        while let Some(piece) = next {
            term::write(format_args!("{piece}"));
            reply.push_str(&piece);
            next = events.next()?;
        }
        say!();
        Ok(reply)
    }
}
