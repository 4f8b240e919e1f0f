//! The head of a stream that takes long to begin. What is known within a few seconds has a status of its
//! own; after that the head goes out, so that no proxy takes the silence for an end, and comments say
//! what the call waits for until its text comes. An error is then an event.

use std::{convert::Infallible, time::Duration};

use axum::response::sse::Event;
use futures_util::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use signalbox_engine::Progress;
use tokio::time::{Instant, Interval, interval_at, timeout};

/// A call on its way to its first text.
pub(super) type Answering<T> = BoxFuture<'static, T>;

/// Events of a stream.
pub(super) type Events = BoxStream<'static, Result<Event, Infallible>>;

/// Waits for what is known soon, or gives the rest of the waiting back.
pub(super) async fn soon<T>(
    mut answering: Answering<T>,
    patience: Duration,
) -> Result<T, Answering<T>> {
    match timeout(patience, &mut answering).await {
        Ok(known) => Ok(known),
        Err(_) => Err(answering),
    }
}

/// A call that is waited for, what is said meanwhile, and what becomes of it.
struct Waiting<T, B> {
    answering: Answering<T>,
    progress: Progress,
    ticks: Interval,
    begin: B,
}

/// Comments on where a call stands, until it is known how it begins; then the events of that.
pub(super) fn comments<T: 'static, B>(
    answering: Answering<T>,
    progress: Progress,
    pulse: Duration,
    begin: B,
) -> impl Stream<Item = Result<Event, Infallible>>
where
    B: FnOnce(T) -> Events + Send + 'static,
{
    let ticks = interval_at(Instant::now(), pulse);
    let waiting = Waiting { answering, progress, ticks, begin };
    stream::unfold(Some(waiting), async |waiting| {
        let mut waiting = waiting?;
        tokio::select! {
            biased;
            known = &mut waiting.answering => Some(((waiting.begin)(known), None)),
            _ = waiting.ticks.tick() => {
                let stage = waiting.progress.stage().to_string();
                let comment = stream::iter([Ok(Event::default().comment(stage))]);
                Some((comment.boxed(), Some(waiting)))
            }
        }
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use axum::{
        body::to_bytes,
        response::{IntoResponse, Sse},
    };
    use futures_util::FutureExt;
    use tokio::time::sleep;

    use super::*;

    const PULSE: Duration = Duration::from_millis(20);

    fn later(after: Duration) -> Answering<&'static str> {
        async move {
            sleep(after).await;
            "begun"
        }
        .boxed()
    }

    #[tokio::test]
    async fn what_is_known_soon_is_no_stream() {
        assert_eq!(soon(later(Duration::ZERO), PULSE * 10).await.ok(), Some("begun"));
        let rest = soon(later(PULSE * 3), PULSE).await.err().unwrap();
        assert_eq!(rest.await, "begun");
    }

    #[tokio::test]
    async fn a_stream_says_what_it_waits_for_until_it_begins() {
        let begin = |word: &str| stream::iter([Ok(Event::default().data(word))]).boxed();
        let events = comments(later(PULSE * 5), Progress::default(), PULSE, begin);
        let body = Sse::new(events).into_response().into_body();
        let text = String::from_utf8(to_bytes(body, 4096).await.unwrap().to_vec()).unwrap();
        assert!(text.matches(": preparing\n\n").count() >= 2, "{text}");
        assert!(text.ends_with("data: begun\n\n"), "{text}");
    }
}
