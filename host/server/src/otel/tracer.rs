//! Where calls leave their traces: a bounded queue that nobody waits for.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{Receiver, Sender, channel},
        watch,
    },
    time::timeout,
};

use super::{call::Measured, settings::TraceSettings, span::TraceOfCall};
use crate::limits::TRACED_CALLS_MAX;

/// Takes traces of calls; where they go nowhere it takes none. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tracer(pub(super) Option<Arc<Shared>>);

/// What the tracer and the task that sends share.
pub(super) struct Shared {
    pub(super) settings: TraceSettings,
    queue: Sender<TraceOfCall>,
    /// Whoever sends takes it from here.
    waiting: Mutex<Option<Receiver<TraceOfCall>>>,
    /// Calls that are not sent yet.
    pub(super) pending: watch::Sender<usize>,
    dropped: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Tracer {
    /// `None` takes no traces.
    pub(crate) fn new(settings: Option<TraceSettings>) -> Self {
        Self(settings.map(|settings| {
            let (queue, waiting) = channel(TRACED_CALLS_MAX);
            let waiting = Mutex::new(Some(waiting));
            let (pending, _) = watch::channel(0);
            let (dropped, failed) = Default::default();
            Arc::new(Shared { settings, queue, waiting, pending, dropped, failed })
        }))
    }

    /// Whether traces go anywhere.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A call has ended. Never waits.
    pub(crate) fn ended(&self, call: Measured<'_>) {
        let Some(shared) = &self.0 else { return };
        if let Some(trace) = call.trace(shared.settings.gen_ai) {
            shared.leave(trace);
        }
    }

    /// Waits until all that has ended was sent or lost.
    pub(crate) async fn flushed(&self, within: Duration) {
        let Some(shared) = &self.0 else { return };
        // What is not sent by then is lost with the process.
        let _ = timeout(within, shared.pending.subscribe().wait_for(|pending| *pending == 0)).await;
    }

    /// Calls whose traces were lost: for want of room in the queue, and because they could not be sent. `None` where
    /// traces go nowhere.
    pub(crate) fn lost(&self) -> Option<(u64, u64)> {
        let shared = self.0.as_ref()?;
        Some((shared.dropped.load(Relaxed), shared.failed.load(Relaxed)))
    }
}

impl Shared {
    fn leave(&self, trace: TraceOfCall) {
        // Counted before it is in the queue, so that the count is never less than what waits.
        self.pending.send_modify(|pending| *pending += 1);
        if self.queue.try_send(trace).is_err() {
            self.pending.send_modify(|pending| *pending -= 1);
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Once.
    pub(super) fn take_queue(&self) -> Option<Receiver<TraceOfCall>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otel::{GenAi, context::TraceId};

    #[test]
    fn traces_beyond_the_queue_are_dropped_and_counted() {
        let endpoint = TraceSettings::endpoint("http://127.0.0.1:1/v1/traces").unwrap();
        let (headers, service, gen_ai) = (Vec::new(), "test".to_owned(), GenAi::Off);
        let tracer = Tracer::new(Some(TraceSettings { endpoint, headers, service, gen_ai }));
        let shared = tracer.0.as_ref().unwrap();
        for _ in 0..TRACED_CALLS_MAX + 3 {
            shared.leave(TraceOfCall { trace: TraceId::fresh(), spans: Vec::new() });
        }
        assert_eq!(tracer.lost(), Some((3, 0)));
        assert_eq!(*shared.pending.borrow(), TRACED_CALLS_MAX);
        assert_eq!(Tracer::new(None).lost(), None);
    }
}
