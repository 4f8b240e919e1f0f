//! What is measured of a reply, and the books that are closed when it ends: the decision log's and
//! the counters'.

use std::sync::Arc;

use signalbox_engine::Progress;
use tokio::time::Instant;

use super::{
    end::{End, Performance},
    refusal::{Refusal, Refused},
};
use crate::{decisions::Trace, telemetry::Telemetry};

/// The measure of one reply under way.
pub(super) struct Meter {
    model: String,
    trace: Trace,
    telemetry: Arc<Telemetry>,
    first_text: Option<Instant>,
    last_text: Option<Instant>,
}

impl Meter {
    /// Of a reply that `model` begins to give.
    pub(super) fn begin(model: &str, mut trace: Trace, telemetry: Arc<Telemetry>) -> Self {
        trace.answering(model);
        Self { model: model.to_owned(), trace, telemetry, first_text: None, last_text: None }
    }

    /// Where the call stands, and what it has cost.
    pub(super) fn progress(&self) -> Progress {
        self.trace.progress()
    }

    /// What the call's record in the decision log is called.
    pub(super) fn decision(&self) -> &str {
        self.trace.decision()
    }

    /// Why this expert, in the router's words.
    pub(super) fn reason(&self) -> String {
        self.trace.reason()
    }

    /// Text leaves for the client.
    pub(super) fn text(&mut self) {
        let now = Instant::now();
        match self.last_text.replace(now) {
            Some(last) => self.telemetry.between_texts(&self.model, now - last),
            None => {
                self.first_text = Some(now);
                self.trace.speaking();
                self.telemetry.first_text(&self.model, now - self.trace.received());
            }
        }
    }

    /// What was measured of it until now.
    pub(super) fn timed(&self, performance: Performance) -> Performance {
        let (now, received) = (Instant::now(), self.trace.received());
        let first_text = self.first_text.map(|at| (at - received).as_secs_f64());
        Performance { first_text, total: (now - received).as_secs_f64(), ..performance }
    }

    /// The reply is complete.
    pub(super) fn finished(&mut self, mut end: End) -> End {
        end.performance = self.timed(end.performance);
        self.telemetry.reply_ended(&self.model, &end.ending, end.usage);
        self.trace.finished(&end);
        end
    }

    /// The reply ended early.
    pub(super) fn failed(&mut self, refusal: Refusal) -> Refused {
        self.telemetry.reply_failed(&self.model);
        self.trace.failed(refusal)
    }
}
