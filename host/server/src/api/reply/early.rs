//! The head of a stream that takes long to begin. What is known within a few seconds has a status of its
//! own; after that the head goes out, so that no proxy takes the silence for an end, and comments say
//! what the call waits for until its text comes. An error is then an event.

use std::time::Duration;

use futures_util::{StreamExt, future::BoxFuture, stream};
use signalbox_engine::{Progress, Stage};
use tokio::time::{Instant, Interval, interval_at, timeout};

use super::frames::{Frame, Frames};

/// A call on its way to its first text.
pub(super) type Answering<T> = BoxFuture<'static, T>;

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

/// Who waits for a call: says so meanwhile, and goes on when it is known how it begins.
pub(super) trait Waiter<T>: Send + 'static {
    /// What is said while the call stands there.
    fn waits(&mut self, stage: &Stage) -> Frame;
    /// The rest of the stream.
    fn begins(self, known: T) -> Frames;
}

struct Waiting<T, W> {
    answering: Answering<T>,
    progress: Progress,
    ticks: Interval,
    waiter: W,
}

/// What is said of where a call stands, until it is known how it begins; then the frames of that.
pub(super) fn comments<T: 'static>(
    answering: Answering<T>,
    progress: Progress,
    pulse: Duration,
    waiter: impl Waiter<T>,
) -> Frames {
    let ticks = interval_at(Instant::now(), pulse);
    let waiting = Waiting { answering, progress, ticks, waiter };
    let frames = stream::unfold(Some(waiting), async |waiting| {
        let mut waiting = waiting?;
        tokio::select! {
            biased;
            known = &mut waiting.answering => Some((waiting.waiter.begins(known), None)),
            _ = waiting.ticks.tick() => {
                let frame = waiting.waiter.waits(&waiting.progress.stage());
                Some((stream::iter([frame]).boxed(), Some(waiting)))
            }
        }
    });
    frames.flatten().boxed()
}

#[cfg(test)]
mod tests {
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

    struct Patient;

    impl Waiter<&'static str> for Patient {
        fn waits(&mut self, stage: &Stage) -> Frame {
            Frame::Comment(stage.to_string())
        }

        fn begins(self, word: &'static str) -> Frames {
            stream::iter([Frame::mark(word)]).boxed()
        }
    }

    #[tokio::test]
    async fn a_stream_says_what_it_waits_for_until_it_begins() {
        let frames = comments(later(PULSE * 5), Progress::default(), PULSE, Patient);
        let said: Vec<Frame> = frames.collect().await;
        let (last, waited) = said.split_last().unwrap();
        let preparing = Frame::Comment("preparing".to_owned());
        assert!(waited.len() >= 2 && waited.iter().all(|frame| *frame == preparing), "{said:?}");
        assert_eq!(*last, Frame::mark("begun"));
    }
}
