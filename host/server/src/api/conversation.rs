//! A conversation as every dialect's reader leaves it: text in which a mark stands for each image, the images that
//! belong there, and what is attached to messages. Whoever reads a dialect pushes its turns here.

use std::borrow::Cow;

use axum::http::StatusCode;
use signalbox_engine::{MESSAGES_MAX, ToolCall, write_calls};
use signalbox_policy::{IMAGE_MARK, Message};

use crate::{
    error::ApiError,
    images::{Images, Sent},
    pipeline::{Attached, Pictures},
};

/// Images, each with the message it stands in.
pub(super) type Placed = Vec<(usize, Sent)>;

/// A conversation as it was sent: text with marks, and the images that belong there.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    /// By message.
    pub(super) attached: Vec<Attached>,
    /// Each with the message it stands in.
    pub(super) images: Placed,
    images_max: usize,
}

/// One turn of it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// `system`, `user`, `assistant` or `tool`.
    pub(super) role: &'static str,
    pub(super) content: Content,
    /// What an assistant called.
    pub(super) calls: Vec<ToolCall>,
    /// The id of the call whose result it is.
    pub(super) answers: Option<String>,
}

/// Text with a mark for each image, and the images.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) images: Vec<Sent>,
}

impl Content {
    /// Nothing but this text.
    pub(super) fn of(text: &str) -> Self {
        Self { text: unmarked(text).into_owned(), images: vec![] }
    }

    /// More text.
    pub(super) fn say(&mut self, text: &str) {
        self.text.push_str(&unmarked(text));
    }

    /// An image, which stands `at` there in the body.
    pub(super) fn show(&mut self, at: &str, url: String) {
        self.text.push(IMAGE_MARK);
        self.images.push(Sent { at: at.to_owned(), url });
    }
}

impl Conversation {
    /// None yet, for up to so many images.
    pub(super) fn new(images_max: usize) -> Self {
        Self { messages: vec![], attached: vec![], images: vec![], images_max }
    }

    /// One more turn.
    pub(super) fn push(&mut self, turn: Turn) -> Result<(), ApiError> {
        let Turn { role, content, mut calls, answers } = turn;
        let index = self.messages.len();
        if index == MESSAGES_MAX {
            let text = format!("there are more than the {MESSAGES_MAX} messages that are taken");
            return Err(ApiError::value("messages", text));
        }
        if let Some(image) = content.images.first().filter(|_| role != "user") {
            let text =
                format!("a message of the role '{role}' has no images; let the user send them");
            return Err(ApiError::unsupported(&image.at, text));
        }
        for call in &mut calls {
            if let Cow::Owned(plain) = unmarked(&call.arguments) {
                call.arguments = plain;
            }
        }
        self.images.extend(content.images.into_iter().map(|image| (index, image)));
        let content = write_calls(content.text, &calls);
        let ids = calls.into_iter().map(|call| call.id).collect();
        self.attached.push(Attached { calls: ids, answers });
        self.messages.push(Message { role: role.to_owned(), content, origin: Some(index) });
        self.check_images()
    }

    fn check_images(&self) -> Result<(), ApiError> {
        let max = self.images_max;
        let Some((_, surplus)) = self.images.get(max) else { return Ok(()) };
        let text = format!("there are more than {max} images; send fewer in one call");
        let refused = ApiError::client(StatusCode::BAD_REQUEST, "too_many_images", text);
        Err(refused.at(&surplus.at))
    }
}

/// Text in which nothing passes for an image.
pub(super) fn unmarked(text: &str) -> Cow<'_, str> {
    match text.contains(IMAGE_MARK) {
        true => Cow::Owned(text.replace(IMAGE_MARK, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// Decodes the images and sorts them by message.
pub(super) async fn pictures(
    images: &Images,
    messages: usize,
    sent: Placed,
) -> Result<Pictures, ApiError> {
    let (places, sent): (Vec<usize>, Vec<Sent>) = sent.into_iter().unzip();
    let (taken, room) = images.take(sent).await?;
    let mut of_message = vec![Vec::new(); messages];
    for (place, image) in places.into_iter().zip(taken) {
        of_message[place].push(image);
    }
    Ok(Pictures::new(of_message, room))
}
