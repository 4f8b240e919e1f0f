//! Request bodies on their way in. What all connections of a plane have sent and nobody has done with
//! yet counts against one budget, as it arrives. When the budget is full, the slowest sender makes room,
//! so that trickling bodies can't keep others out; small bodies have a share that large ones don't get.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::limits::PARSERS_MAX;
use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinError,
    time::{Instant, timeout_at},
};

/// Up to here a body is small: it has the whole budget, and is parsed where it is read.
pub(crate) const SMALL_BYTES: usize = 64 << 10;
/// The share of the budget that large bodies leave to small ones is one in so many.
const SMALL_SHARE: u64 = 8;
/// A sender younger than this is not judged slow.
const GRACE: Duration = Duration::from_secs(1);
/// How long a body waits for another one to make room.
const ROOM_WAIT: Duration = Duration::from_secs(2);
/// What a buffer begins with.
const BUFFER_BYTES_MIN: usize = 4 << 10;

/// The bodies of one plane. Cheap to clone; all clones are one budget.
#[derive(Clone)]
pub(crate) struct Bodies(Arc<Shared>);

struct Shared {
    max: u64,
    parsers: Arc<Semaphore>,
    ledger: Mutex<Ledger>,
    /// Notified when bytes are given back.
    freed: Notify,
}

#[derive(Default)]
struct Ledger {
    small: u64,
    large: u64,
    next: u64,
    /// Bodies that are still arriving.
    senders: HashMap<u64, Sender>,
}

struct Sender {
    since: Instant,
    bytes: u64,
    leave: Arc<Notify>,
}

/// How large a body may be and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Bytes of the body.
    pub(crate) bytes_max: usize,
    /// From the first byte waited for to the last.
    pub(crate) whole: Duration,
    /// Without any byte.
    pub(crate) stall: Duration,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// It has more bytes than are taken.
    #[error("the body is larger than the {max} bytes taken here; send less")]
    TooLarge { max: usize },
    /// It did not come to its end.
    #[error("the body did not arrive within {} s", limit.as_secs())]
    Late { limit: Duration },
    /// Nothing of it came.
    #[error("nothing of the body arrived for {} s", limit.as_secs())]
    Stalled { limit: Duration },
    /// Others needed the memory.
    #[error("other bodies needed the memory and this one came slowest; send it again, faster")]
    Outpaced,
    /// The budget is taken.
    #[error("other bodies hold all {max} bytes of memory there is for them; retry later")]
    Full { max: u64 },
    /// The connection or its framing broke.
    #[error("the body could not be read: {0}")]
    Broken(String),
}

/// A body that arrived, and the memory it may take until the last of it is dropped.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    pub(crate) held: Held,
}

impl Bodies {
    pub(crate) fn new(max: u64) -> Self {
        let parsers = Arc::new(Semaphore::new(PARSERS_MAX));
        let (ledger, freed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { max, parsers, ledger, freed }))
    }

    /// Parses a large body on a thread that may block, as one of few. The place is held by the work
    /// itself, because a client that goes away does not end it.
    ///
    /// # Errors
    /// Work that panicked.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = self.0.parsers.clone().acquire_owned().await;
        let working = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        working.await
    }

    /// The largest body that a budget can ever hold.
    pub(crate) fn largest(max: u64) -> u64 {
        max - max / SMALL_SHARE
    }

    /// Bytes held now.
    pub(crate) fn held_bytes(&self) -> u64 {
        let ledger = self.0.ledger();
        ledger.small + ledger.large
    }

    /// Reads a body to its end. Its bytes count as they arrive, in steps of the buffer they are in.
    ///
    /// # Errors
    /// See [`Unread`]; what was read is dropped.
    pub(crate) async fn read(&self, body: &mut Body, terms: Terms) -> Result<Whole, Unread> {
        if body.size_hint().lower() > terms.bytes_max as u64 {
            return Err(Unread::TooLarge { max: terms.bytes_max });
        }
        let (held, leave) = self.0.begin();
        tokio::select! {
            biased;
            () = leave.notified() => Err(Unread::Outpaced),
            whole = receive(body, held, terms) => whole,
        }
    }
}

async fn receive(body: &mut Body, mut held: Held, terms: Terms) -> Result<Whole, Unread> {
    let late = Instant::now() + terms.whole;
    let mut bytes = Vec::new();
    loop {
        let stalled = Instant::now() + terms.stall;
        let data = match timeout_at(late.min(stalled), body.frame()).await {
            Err(_) if stalled < late => return Err(Unread::Stalled { limit: terms.stall }),
            Err(_) => return Err(Unread::Late { limit: terms.whole }),
            Ok(Some(Err(error))) => return Err(Unread::Broken(error.to_string())),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(), // trailers say nothing
            Ok(None) => break,
        };
        make_room(&mut bytes, data.len(), &mut held, terms.bytes_max).await?;
        bytes.extend_from_slice(&data);
    }
    held.arrived();
    Ok(Whole { bytes, held })
}

/// Grows a buffer by halves, and only when the budget has room.
async fn make_room(
    bytes: &mut Vec<u8>,
    more: usize,
    held: &mut Held,
    max: usize,
) -> Result<(), Unread> {
    let needed = bytes.len() + more;
    if needed > max {
        return Err(Unread::TooLarge { max });
    }
    if needed > bytes.capacity() {
        let capacity = needed.max(bytes.len() * 3 / 2).max(BUFFER_BYTES_MIN).min(max);
        held.grow(capacity).await?;
        bytes.reserve_exact(capacity - bytes.len());
    }
    Ok(())
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> (Held, Arc<Notify>) {
        let mut ledger = self.ledger();
        let id = ledger.next;
        ledger.next += 1;
        let leave = Arc::new(Notify::new());
        let sender = Sender { since: Instant::now(), bytes: 0, leave: leave.clone() };
        ledger.senders.insert(id, sender);
        (Held { shared: self.clone(), id, bytes: 0 }, leave)
    }
}

impl Ledger {
    /// Books a body of `before` bytes as one of `after`, where that is within `max`.
    fn book(&mut self, before: u64, after: u64, max: u64) -> bool {
        let (mut small, mut large) = (self.small, self.large);
        *(if is_small(before) { &mut small } else { &mut large }) -= before;
        *(if is_small(after) { &mut small } else { &mut large }) += after;
        let fits = small + large <= max && (is_small(after) || large <= Bodies::largest(max));
        if fits || after <= before {
            (self.small, self.large) = (small, large);
        }
        fits || after <= before
    }

    /// Cancels the slowest of the other senders.
    fn dismiss_slowest(&mut self, but: u64) {
        let now = Instant::now();
        let rate = |sender: &Sender| {
            sender.bytes as f64 / now.duration_since(sender.since).as_secs_f64().max(1e-3)
        };
        let judged = self.senders.iter().filter(|(id, sender)| {
            **id != but && sender.bytes > 0 && now.duration_since(sender.since) >= GRACE
        });
        let slowest = judged.min_by(|(_, a), (_, b)| rate(a).total_cmp(&rate(b)));
        if let Some(id) = slowest.map(|(id, _)| *id)
            && let Some(sender) = self.senders.remove(&id)
        {
            sender.leave.notify_one();
        }
    }
}

fn is_small(bytes: u64) -> bool {
    bytes <= SMALL_BYTES as u64
}

/// Bytes of the budget; given back when dropped.
pub(crate) struct Held {
    shared: Arc<Shared>,
    id: u64,
    bytes: u64,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} bytes)", self.bytes)
    }
}

impl Held {
    /// Holds `bytes` in all, after another sender left if it must.
    async fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        let patience = Instant::now() + ROOM_WAIT;
        let shared = self.shared.clone();
        loop {
            let freed = shared.freed.notified();
            if self.book(bytes as u64) {
                return Ok(());
            }
            shared.ledger().dismiss_slowest(self.id);
            let now = Instant::now();
            if now >= patience {
                return Err(Unread::Full { max: shared.max });
            }
            // Woken by nobody, look again: a sender may have become slow by now.
            let _ = timeout_at(patience.min(now + GRACE / 4), freed).await;
        }
    }

    fn book(&mut self, bytes: u64) -> bool {
        let mut ledger = self.shared.ledger();
        let booked = ledger.book(self.bytes, bytes, self.shared.max);
        if booked {
            self.bytes = bytes;
            if let Some(sender) = ledger.senders.get_mut(&self.id) {
                sender.bytes = bytes;
            }
        }
        booked
    }

    /// The last byte is here: nothing slower than others is left to leave.
    fn arrived(&mut self) {
        self.shared.ledger().senders.remove(&self.id);
    }

    /// How many.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Holds so many more.
    ///
    /// # Errors
    /// The budget is taken.
    pub(crate) async fn hold_also(&mut self, bytes: usize) -> Result<(), Unread> {
        match bytes {
            0 => Ok(()),
            bytes => self.grow(self.bytes().saturating_add(bytes)).await,
        }
    }

    /// Holds no more than `bytes` from now on.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        if bytes < self.bytes && self.book(bytes) {
            self.shared.freed.notify_waiters();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ledger = self.shared.ledger();
        ledger.senders.remove(&self.id);
        ledger.book(self.bytes, 0, self.shared.max);
        drop(ledger);
        self.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures_util::{StreamExt, stream};

    use super::*;

    const TERMS: Terms =
        Terms { bytes_max: 1 << 20, whole: Duration::from_secs(30), stall: Duration::from_secs(5) };

    fn chunks(count: usize, size: usize) -> Body {
        let chunk = Bytes::from(vec![b'x'; size]);
        let all = (0..count).map(move |_| Ok::<_, Infallible>(chunk.clone()));
        Body::from_stream(stream::iter(all))
    }

    /// Some bytes, and then nothing for ever.
    fn stuck(size: usize) -> Body {
        let some = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'x'; size]))]);
        Body::from_stream(some.chain(stream::pending()))
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn chunks_of_one_byte_take_the_memory_of_their_bytes() {
        run(async {
            let bodies = Bodies::new(1 << 20);
            let whole = bodies.read(&mut chunks(100_000, 1), TERMS).await.unwrap();
            assert_eq!(whole.bytes.len(), 100_000);
            assert_eq!(bodies.held_bytes(), whole.bytes.capacity() as u64);
            assert!(bodies.held_bytes() <= 150_000, "{}", bodies.held_bytes());
            drop(whole);
            assert_eq!(bodies.held_bytes(), 0);
        });
    }

    #[test]
    fn a_body_is_bounded_in_bytes_and_time() {
        run(async {
            let bodies = Bodies::new(4 << 20);
            let (whole, stall) = (Duration::from_millis(300), Duration::from_millis(100));
            let terms = Terms { whole, stall, ..TERMS };
            let read = async |mut body| bodies.read(&mut body, terms).await.map(|_| ());
            assert!(matches!(read(chunks(2, 600_000)).await, Err(Unread::TooLarge { .. })));
            assert!(matches!(read(stuck(10)).await, Err(Unread::Stalled { .. })));
            let trickle = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
            });
            let trickle = Body::from_stream(trickle);
            assert!(matches!(read(trickle).await, Err(Unread::Late { .. })));
            assert_eq!(bodies.held_bytes(), 0);
        });
    }

    #[test]
    fn the_slowest_sender_makes_room() {
        run(async {
            let bodies = Bodies::new(1 << 20);
            let slow = bodies.clone();
            let slow = tokio::spawn(async move { slow.read(&mut stuck(900_000), TERMS).await });
            tokio::time::sleep(GRACE).await; // younger, nobody is slow
            let fast = bodies.read(&mut chunks(9, 100_000), TERMS).await;
            assert_eq!(fast.unwrap().bytes.len(), 900_000);
            assert!(matches!(slow.await.unwrap(), Err(Unread::Outpaced)));
        });
    }

    #[test]
    fn a_budget_of_bodies_that_arrived_is_full_for_large_ones_but_not_for_small_ones() {
        run(async {
            let bodies = Bodies::new(1 << 20);
            let mut kept = bodies.read(&mut chunks(9, 100_000), TERMS).await.unwrap();
            let large = bodies.read(&mut chunks(1, 100_000), TERMS).await;
            assert!(matches!(large, Err(Unread::Full { .. })), "{large:?}");
            let small = bodies.read(&mut chunks(1, 60_000), TERMS).await;
            assert_eq!(small.unwrap().bytes.len(), 60_000);
            kept.held.shrink(1000);
            assert_eq!(bodies.held_bytes(), 1000);
            assert!(bodies.read(&mut chunks(1, 100_000), TERMS).await.is_ok());
        });
    }
}
