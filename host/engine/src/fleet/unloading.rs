//! How experts leave memory: asked to, idle for long, or at the end. One that leaves keeps its
//! reservation until its thread has ended and its memory is free.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    handle::Handle,
    prefetch::prefetch,
    residency::{Slot, SlotState},
    shared::Shared,
};
use crate::{EngineError, KeepAlive, expert::Expert};

/// The longest and the shortest time between two looks for idle experts.
const IDLE_LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

impl Handle {
    /// A call has ended that asked for this, which `end` enters. An expert that goes behind it does so now.
    pub(super) fn call_ended(&self, asked: Option<KeepAlive>, end: impl FnOnce(&mut Slot<Expert>)) {
        let (now, mut residency) = (Instant::now(), self.shared.residency());
        let slot = &mut residency.slots[self.at];
        end(slot);
        slot.last_used = now;
        slot.stay = slot.stay.with(now, asked);
        let done = slot.part().or_else(|| residency.leave_if_stale(self.at, now));
        drop(residency);
        if let Some(expert) = done {
            expert.dismiss(); // never waited for here: this may be its own thread
        }
        self.shared.notify();
    }

    /// Unloads one expert that nobody uses.
    pub(super) async fn unload(&self) -> Result<(), EngineError> {
        loop {
            let mut changed = self.shared.changed.subscribe();
            let leaving = {
                let mut residency = self.shared.residency();
                let slot = &mut residency.slots[self.at];
                let busy = || EngineError::Busy { expert: slot.id.clone() };
                match &slot.state {
                    SlotState::Loading(_) => return Err(busy()),
                    SlotState::Resident(_) if slot.calls > 0 => return Err(busy()),
                    SlotState::Cold | SlotState::Failed(_) => return Ok(()),
                    SlotState::Resident(_) | SlotState::Leaving => {
                        slot.dismissed = true;
                        slot.leave()
                    }
                }
            };
            match leaving {
                Some(expert) => stop_all(vec![expert]).await,
                None => {
                    // Fails only without a sender, and that lives in `inner`.
                    let _ = changed.changed().await;
                }
            }
        }
    }
}

/// Ends every expert, busy or not, and waits until their memory is free.
pub(super) async fn unload_all(shared: &Shared) {
    let leaving = shared.residency().slots.iter_mut().filter_map(|slot| slot.leave()).collect();
    stop_all(leaving).await;
}

/// Waits for experts to end, on a thread that may block.
async fn stop_all(experts: Vec<Expert>) {
    let (done, ended) = oneshot::channel::<()>();
    let spawned = thread::Builder::new().name("unload".into()).spawn(move || {
        experts.into_iter().for_each(Expert::stop);
        drop(done);
    });
    if let Err(error) = spawned {
        // The handles are dropped with the closure, so the experts end by themselves.
        tracing::warn!(%error, "no thread to wait for experts that end");
    }
    // Resolves with an error when `done` is dropped, which is the signal.
    let _ = ended.await;
}

/// Unloads experts that nobody has used for long and loads those that are likely to be, for as long as the fleet lives.
pub(super) fn watch_idle(shared: &Arc<Shared>) {
    let home = Arc::downgrade(shared);
    let watch = move || {
        while let Some(shared) = home.upgrade() {
            let stale = shared.residency().leave_stale(Instant::now());
            stale.into_iter().for_each(Expert::stop);
            prefetch(&shared);
            let next = shared.residency().next_end();
            drop(shared);
            let pause =
                next.map_or(IDLE_LOOK.1, |end| end.saturating_duration_since(Instant::now()));
            thread::sleep(pause.clamp(IDLE_LOOK.0, IDLE_LOOK.1));
        }
    };
    if let Err(error) = thread::Builder::new().name("watch idle".into()).spawn(watch) {
        tracing::warn!(%error, "no thread to unload idle experts");
    }
}
