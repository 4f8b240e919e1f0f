//! Token counts for guests: as many at once as guests run, fair among policies, piece by piece, so
//! that a long text takes no more memory than a short one and a hook that ends is not counted for
//! any longer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{runtime::Handle, sync::oneshot};

use crate::{Failure, TokenError, World, instances::MemoryBudget, scheduler::RunQueue};

/// Bytes that are counted at once. A tokenizer takes a hundred times as much memory for a moment.
const PIECE_BYTES: usize = 64 << 10;
/// How far back from the end of a piece a place between two words is looked for.
const SEAM_BYTES: usize = 1 << 10;

/// The budget of all token counts.
pub(crate) struct TokenCounts {
    queue: Arc<Queue>,
    memory: Arc<MemoryBudget>,
    host: Handle,
}

/// Who counts and who waits to.
struct Queue(Mutex<(usize, RunQueue<oneshot::Sender<Place>>)>);

/// The right to count one piece; given back when dropped.
struct Place(Option<Arc<Queue>>);

impl TokenCounts {
    pub(crate) fn new(at_once: usize, memory: Arc<MemoryBudget>, host: Handle) -> TokenCounts {
        TokenCounts {
            queue: Arc::new(Queue(Mutex::new((at_once, RunQueue::default())))),
            memory,
            host,
        }
    }

    /// Tokens of `text`. What is longer than a piece is counted in pieces that begin at a space,
    /// and the sum may differ from the whole's count by a token or two per piece.
    pub(crate) async fn count(
        &self,
        lane: u64,
        world: &Arc<dyn World>,
        text: &str,
        expert: Option<String>,
    ) -> Result<Result<u32, TokenError>, Failure> {
        let mut share = self.memory.share();
        share.take(text.len() as u64)?;
        let (mut rest, mut sum) = (text, 0u32);
        loop {
            let (piece, after) = rest.split_at(seam(rest));
            match self.piece(lane, world.clone(), piece.to_owned(), expert.clone()).await {
                Ok(tokens) => sum = sum.saturating_add(tokens),
                Err(error) => return Ok(Err(error)),
            }
            if after.is_empty() {
                return Ok(Ok(sum));
            }
            rest = after;
        }
    }

    /// A piece is counted to its end even when nobody waits any more, and keeps its place so long.
    async fn piece(
        &self,
        lane: u64,
        world: Arc<dyn World>,
        text: String,
        expert: Option<String>,
    ) -> Result<u32, TokenError> {
        let place = self.queue.place(lane).await;
        let counting = self.host.spawn(async move {
            let counted = world.count_tokens(text, expert).await;
            drop(place);
            counted
        });
        counting.await.unwrap_or_else(|error| Err(TokenError::Unavailable(error.to_string())))
    }
}

impl Queue {
    fn open(&self) -> MutexGuard<'_, (usize, RunQueue<oneshot::Sender<Place>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn place(self: &Arc<Self>, lane: u64) -> Option<Place> {
        let receiver = {
            let (free, line) = &mut *self.open();
            if *free > 0 {
                *free -= 1;
                return Some(Place(Some(self.clone())));
            }
            let (sender, receiver) = oneshot::channel();
            line.push(lane, sender, true);
            receiver
        };
        receiver.await.ok()
    }
}

impl Queue {
    /// The next who waits, if anybody does; otherwise the place is free.
    fn next(&self) -> Option<oneshot::Sender<Place>> {
        let (free, line) = &mut *self.open();
        let next = line.pop();
        *free += usize::from(next.is_none());
        next
    }
}

impl Drop for Place {
    /// Goes to the first in the line who still waits.
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        while let Some(next) = queue.next() {
            match next.send(Place(Some(queue.clone()))) {
                Ok(()) => return,
                Err(mut place) => drop(place.0.take()),
            }
        }
    }
}

/// Where the first piece of `text` ends: before a space, or between any two characters.
fn seam(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(PIECE_BYTES);
    let from = text.floor_char_boundary(end - SEAM_BYTES);
    text[from..end].rfind(' ').map_or(end, |space| from + space).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls once.
    async fn polled<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context))
        })
        .await
    }

    #[tokio::test]
    async fn a_place_goes_to_the_next_who_still_waits() {
        let queue = Arc::new(Queue(Mutex::new((1, RunQueue::default()))));
        let first = queue.place(1).await;
        let mut gone = Box::pin(queue.place(1));
        let mut waits = Box::pin(queue.place(2));
        assert!(polled(&mut gone).await.is_pending());
        assert!(polled(&mut waits).await.is_pending());
        drop(gone);
        drop(first);
        drop(waits.await);
        assert_eq!(queue.open().0, 1);
    }

    #[test]
    fn pieces_begin_at_a_space_where_there_is_one() {
        let check = |text: &str, expect| assert_eq!(seam(text), expect);
        check("", 0);
        check("short text", 10);
        check(&"word ".repeat(20_000), PIECE_BYTES - 2);
        check(&"x".repeat(100_000), PIECE_BYTES);
        check(&"é".repeat(100_000), PIECE_BYTES);
    }
}
