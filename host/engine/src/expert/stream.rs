//! The client's end of one reply.

use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{EngineError, Event};

/// A reply as it is generated. Dropping it stops the generation within one step.
#[derive(Debug)]
pub struct TokenStream {
    /// The expert that answers.
    pub expert: String,
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    events: UnboundedReceiver<Event>,
    ended: bool,
}

impl TokenStream {
    /// The two ends of a reply.
    pub(crate) fn open(expert: &str, prompt_tokens: u32) -> (UnboundedSender<Event>, Self) {
        let (sender, events) = unbounded_channel();
        (sender, Self { expert: expert.to_owned(), prompt_tokens, events, ended: false })
    }

    /// The next event; `None` after `Finished` or `Failed`, one of which always comes.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) for hand-written futures and streams.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let event = ready!(self.events.poll_recv(cx)).unwrap_or_else(|| self.broken_off());
        self.ended = matches!(event, Event::Finished { .. } | Event::Failed(_));
        Poll::Ready(Some(event))
    }

    /// The other end vanished in the moment the expert crashed.
    fn broken_off(&self) -> Event {
        let problem = "the reply broke off".into();
        Event::Failed(EngineError::Crashed { expert: self.expert.clone(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_never_ends_without_saying_why() {
        let (events, mut stream) = TokenStream::open("e", 1);
        events.send(Event::Text("a".into())).unwrap();
        drop(events);
        assert!(matches!(stream.next().await, Some(Event::Text(_))));
        assert!(matches!(stream.next().await, Some(Event::Failed(EngineError::Crashed { .. }))));
        assert!(stream.next().await.is_none());
    }
}
