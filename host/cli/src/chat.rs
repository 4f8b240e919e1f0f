//! `signalbox chat`: talk to a running host, one message or a whole conversation.

mod terminal;

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
    sync::mpsc::RecvTimeoutError,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use indicatif::HumanBytes;
use signalbox_server::wire::requests::{
    ChatContent, ChatMessage, ChatPart, ChatRequest, Common, ImageUrl,
};

use crate::{
    args::Chat,
    client::{Client, Heard},
    output::{self, complain},
    term::{self, say},
};
use terminal::{Interrupt, Lines};

/// Files larger than this are not sent; a host with default settings takes far less.
const IMAGE_BYTES_MAX: u64 = 256 << 20;

const HELP: &str = "\
/new          forget what was said
/model NAME   ask this expert; auto lets the router choose
/system TEXT  begin with this instruction; without a text, with none
/bye          end (so does Ctrl-D); Ctrl-C ends a reply
/help         this";

/// How often a reply that is waited for looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(50);

/// Sends one message, or the lines of standard input one by one as a conversation.
pub(crate) fn run(args: Chat) -> Result<()> {
    let url = args.plane.url.clone();
    let once = args.message.join(" ");
    let mut talk = Conversation {
        client: Client::new(&args.plane.url, args.plane.key),
        model: args.model,
        system: args.system,
        temperature: args.temperature,
        messages: Vec::new(),
        images: args.image.iter().map(|file| image(file)).collect::<Result<_>>()?,
        interrupt: Interrupt::none(),
    };
    if !once.is_empty() {
        return talk.ask(&once);
    }
    let mut lines = Lines::open()?;
    if lines.is_terminal() {
        talk.interrupt = Interrupt::watch()?;
        complain!("Talking to {url}. /help says what there is, Ctrl-D ends.");
    }
    while let Some(line) = lines.next()? {
        match Said::of(&line) {
            Said::Nothing => {}
            Said::Bye => break,
            // At a terminal one failed question does not end the conversation.
            said => match talk.hear(said) {
                Err(error) if lines.is_terminal() => complain!("{error:#}"),
                outcome => outcome?,
            },
        }
    }
    Ok(())
}

/// What a line means.
#[derive(Debug, PartialEq, Eq)]
enum Said<'l> {
    Nothing,
    Bye,
    Help,
    New,
    Model(&'l str),
    System(&'l str),
    /// A command that is not known.
    Odd(&'l str),
    Message(&'l str),
}

impl<'l> Said<'l> {
    fn of(line: &'l str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (word, rest.trim()) {
            ("", _) => Self::Nothing,
            ("/bye" | "/exit" | "/quit", "") => Self::Bye,
            ("/help" | "/?", "") => Self::Help,
            ("/new" | "/clear", "") => Self::New,
            ("/model", name) if !name.is_empty() => Self::Model(name),
            ("/system", text) => Self::System(text),
            // A path or a regular expression is a message; a single odd word hardly is.
            _ if word.starts_with('/') && rest.is_empty() && !word[1..].contains('/') => {
                Self::Odd(word)
            }
            _ => Self::Message(line),
        }
    }
}

struct Conversation {
    client: Client,
    model: String,
    system: Option<String>,
    temperature: Option<f32>,
    messages: Vec<ChatMessage>,
    /// What goes with the next message.
    images: Vec<ChatPart>,
    interrupt: Interrupt,
}

impl Conversation {
    fn hear(&mut self, said: Said<'_>) -> Result<()> {
        match said {
            Said::Nothing | Said::Bye => {}
            Said::Help => complain!("{HELP}"),
            Said::New => self.messages.clear(),
            Said::Model(name) => self.model = name.to_owned(),
            Said::System(text) => self.system = (!text.is_empty()).then(|| text.to_owned()),
            Said::Odd(word) => complain!("there is no {word}; /help says what there is"),
            Said::Message(text) => return self.ask(text),
        }
        Ok(())
    }

    /// Prints the reply as it comes. A question that fails, or is interrupted before there is a word, is not
    /// remembered.
    fn ask(&mut self, text: &str) -> Result<()> {
        let content = match self.images.as_slice() {
            [] => ChatContent::Text(text.to_owned()),
            images => {
                let text = ChatPart::Text { text: text.to_owned() };
                ChatContent::Parts([images, &[text]].concat())
            }
        };
        self.messages.push(message("user", content));
        match self.reply() {
            Ok(reply) if reply.is_empty() => {
                self.messages.pop();
                Ok(())
            }
            Ok(reply) => {
                self.images.clear();
                self.messages.push(message("assistant", ChatContent::Text(reply)));
                Ok(())
            }
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    fn request(&self) -> ChatRequest {
        let (model, temperature) = (Some(self.model.clone()), self.temperature);
        let common = Common { model, temperature, stream: Some(true), ..Common::default() };
        let system = self.system.clone().map(|text| message("system", ChatContent::Text(text)));
        let messages = system.into_iter().chain(self.messages.iter().cloned()).collect();
        ChatRequest { messages, common, ..ChatRequest::default() }
    }

    /// The reply, as far as it was let come.
    fn reply(&self) -> Result<String> {
        self.interrupt.take();
        let waiting = term::Spinner::start("waiting for the first token");
        let heard = self.client.listen(self.request());
        let (mut reply, mut waiting) = (String::new(), Some(waiting));
        // However fast the pieces come.
        while !self.interrupt.take() {
            let next = match heard.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(next) => next,
            };
            match next {
                Ok(Heard::Waits(what)) => {
                    waiting.iter().for_each(|spinner| spinner.say(&what));
                }
                Ok(Heard::Text { text, from }) => {
                    if waiting.take().is_some() && io::stderr().is_terminal() {
                        complain!("{from}:");
                    }
                    output::out(format_args!("{text}"));
                    reply.push_str(&text);
                }
                Err(error) => {
                    drop(waiting);
                    if !reply.is_empty() {
                        say!(); // the error gets a line of its own
                    }
                    return Err(error);
                }
            }
        }
        drop(waiting);
        say!();
        Ok(reply)
    }
}

fn message(role: &'static str, content: ChatContent) -> ChatMessage {
    ChatMessage::new(role, content)
}

/// A part of a message that shows a file.
fn image(file: &Path) -> Result<ChatPart> {
    let unreadable = || format!("{} can't be read", file.display());
    let size = fs::metadata(file).with_context(unreadable)?.len();
    let message = HumanBytes(size);
    ensure!(size <= IMAGE_BYTES_MAX, "{} has {message}; make it smaller", file.display());
    let bytes = fs::read(file).with_context(unreadable)?;
    let kind = kind(&bytes);
    let kind = kind.with_context(|| {
        format!("{} is neither PNG nor JPEG nor WebP; convert it to one of them", file.display())
    })?;
    let url = format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes));
    Ok(ChatPart::ImageUrl { image_url: ImageUrl { url } })
}

/// A media type by the first bytes.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_a_message() {
        let check = |line, expect: Said<'_>| assert_eq!(Said::of(line), expect, "{line:?}");
        check("  ", Said::Nothing);
        check("/bye\n", Said::Bye);
        check("/help", Said::Help);
        check("/new", Said::New);
        check("/model phi", Said::Model("phi"));
        check("/system be kind", Said::System("be kind"));
        check("/system", Said::System(""));
        check("/hlep", Said::Odd("/hlep"));
        check("/etc/hosts", Said::Message("/etc/hosts"));
        check("/new things are good", Said::Message("/new things are good"));
        check("Hello!\n", Said::Message("Hello!"));
    }

    #[test]
    fn images_are_known_by_their_first_bytes() {
        assert_eq!(kind(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(kind(b"RIFF1234WEBPVP8 "), Some("image/webp"));
        assert_eq!([kind(b"GIF89a"), kind(b"")], [None, None]);
    }
}
