//! `signalbox chat`: talk to a running host, one message or a whole conversation.

use std::{
    fs,
    io::{self, BufRead, IsTerminal},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use indicatif::HumanBytes;
use signalbox_server::wire::requests::{
    ChatContent, ChatMessage, ChatPart, ChatRequest, Common, ImageUrl,
};

use crate::{
    args::Chat,
    client::Client,
    output::{self, complain},
    term::{self, say},
};

/// Files larger than this are not sent; a host with default settings takes far less.
const IMAGE_BYTES_MAX: u64 = 256 << 20;

/// Sends one message, or the lines of standard input one by one as a conversation.
pub(crate) fn run(args: Chat) -> Result<()> {
    let mut talk = Conversation {
        client: Client::new(&args.plane.url, args.plane.key),
        model: args.model,
        messages: Vec::new(),
        images: args.image.iter().map(|file| image(file)).collect::<Result<_>>()?,
    };
    if !args.message.is_empty() {
        return talk.ask(&args.message.join(" "));
    }
    let terminal = io::stdin().is_terminal();
    if terminal {
        complain!("Talking to {}. /new forgets what was said, Ctrl-D ends.", args.plane.url);
    }
    loop {
        if terminal {
            output::err(format_args!("> "));
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
                Err(error) if terminal => complain!("{error:#}"),
                outcome => outcome?,
            },
        }
    }
}

struct Conversation {
    client: Client,
    model: String,
    messages: Vec<ChatMessage>,
    /// What goes with the next message.
    images: Vec<ChatPart>,
}

impl Conversation {
    /// Prints the reply as it comes. A question that fails is not remembered.
    fn ask(&mut self, text: &str) -> Result<()> {
        let content = match self.images.as_slice() {
            [] => ChatContent::Text(text.to_owned()),
            images => {
                let text = ChatPart::Text { text: text.to_owned() };
                ChatContent::Parts([images, &[text]].concat())
            }
        };
        self.messages.push(ChatMessage { role: "user".into(), content });
        match self.reply() {
            Ok(reply) => {
                self.images.clear();
                let content = ChatContent::Text(reply);
                self.messages.push(ChatMessage { role: "assistant".into(), content });
                Ok(())
            }
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    fn reply(&self) -> Result<String> {
        let model = Some(self.model.clone());
        let common = Common { model, stream: Some(true), ..Common::default() };
        let request = ChatRequest { messages: self.messages.clone(), common };
        let waiting = term::Spinner::start("waiting for the first token");
        let mut events = self.client.stream(&request)?;
        let first = events.next()?;
        drop(waiting);
        if let Some(expert) = events.expert.as_ref().filter(|_| io::stderr().is_terminal()) {
            complain!("{expert}:");
        }
        let mut reply = String::new();
        let mut next = first;
        while let Some(piece) = next {
            output::out(format_args!("{piece}"));
            reply.push_str(&piece);
            next = events.next()?;
        }
        say!();
        Ok(reply)
    }
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
    fn images_are_known_by_their_first_bytes() {
        assert_eq!(kind(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(kind(b"RIFF1234WEBPVP8 "), Some("image/webp"));
        assert_eq!([kind(b"GIF89a"), kind(b"")], [None, None]);
    }
}
