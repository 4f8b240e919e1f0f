//! Until when a call has to be answered: until its reply begins, and then until the reply goes on. It is
//! a bound on silence, not on length.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;

/// The end of the silence that a caller may be left in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// So long from now.
    pub(super) fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// The same silence anew, after something came.
    pub(super) fn renewed(self) -> Self {
        Self::after(self.limit)
    }

    /// Waits for what a call needs, for no longer than it may take.
    ///
    /// # Errors
    /// [`Refusal::TooSlow`] when it took longer.
    pub(crate) async fn within<T>(self, work: impl Future<Output = T>) -> Result<T, Refusal> {
        let done = timeout_at(self.at, work).await;
        done.map_err(|_| Refusal::TooSlow { limit: self.limit })
    }
}
