//! Children that render, shared by the experts of one fleet. Each has compiled one expert's template
//! and is kept for that expert's next call; when there are as many as may be, the one that idled
//! longest makes room.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use signalbox_confine::{Bounds, Failure, Program, Worker};

use super::{
    Problem, TokenNames,
    child::{self, Order},
};
use crate::limits::TemplateLimits;

/// What stands before an answer's text.
const TAG_BYTES: u64 = 1;

/// The children of one fleet.
pub(crate) struct Pool {
    program: Program,
    limits: TemplateLimits,
    state: Mutex<State>,
    /// A child came back, or ended.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// By template, the one that idled longest first.
    idle: Vec<(u64, Child)>,
    busy: usize,
    /// Templates seen.
    known: u64,
}

/// A template that children compile.
pub(super) struct ChildTemplate {
    key: u64,
    text: String,
    names: TokenNames,
}

/// A child that has compiled a template.
struct Child {
    worker: Worker,
    /// It has rendered, so what it holds may be what earlier calls left.
    used: bool,
}

/// A place among the children that run, given back when dropped.
struct Seat<'p> {
    pool: &'p Pool,
    key: u64,
    child: Option<Child>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.busy -= 1;
        state.idle.extend(self.child.take().map(|child| (self.key, child)));
        drop(state);
        self.pool.freed.notify_one();
    }
}

impl Pool {
    pub(super) fn new(program: Program, limits: TemplateLimits) -> Self {
        Self { program, limits, state: Mutex::default(), freed: Condvar::new() }
    }

    /// A template under a key of its own, compiled once to see whether it can be.
    pub(super) fn compile(
        &self,
        text: String,
        names: TokenNames,
    ) -> Result<ChildTemplate, Problem> {
        let mut state = self.state();
        state.known += 1;
        let key = state.known;
        drop(state);
        let source = ChildTemplate { key, text, names };
        let mut seat = self.seat(key)?;
        seat.child = Some(self.start(&source)?);
        drop(seat);
        Ok(source)
    }

    /// Gives an order to a child that has compiled `source`. One that an earlier call wore out is no
    /// reason to fail this one: it is tried again in a fresh child.
    pub(super) fn ask(&self, source: &ChildTemplate, order: &Order<'_>) -> Result<String, Problem> {
        let request = order.encode()?;
        let mut seat = self.seat(source.key)?;
        loop {
            let mut child = match seat.child.take() {
                Some(child) => child,
                None => self.start(source)?,
            };
            match (child.worker.ask(&request), child.used) {
                (Ok(answer), _) => {
                    seat.child = Some(Child { used: true, ..child });
                    return child::read(answer, self.limits.output_bytes);
                }
                (Err(failure), false) => {
                    return Err(child::judge(failure, self.limits.output_bytes));
                }
                (Err(failure), true) => tracing::debug!(%failure, "a template's process ended"),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to run in, with a child that knows the template where one idles. Waits while all are
    /// taken, for as long as one rendering may take.
    fn seat(&self, key: u64) -> Result<Seat<'_>, Problem> {
        let workers = self.limits.workers as usize;
        let full = |state: &mut State| state.busy >= workers;
        let waited = self.freed.wait_timeout_while(self.state(), self.wall(), full);
        let (mut state, late) = waited.unwrap_or_else(PoisonError::into_inner);
        if late.timed_out() {
            return Err(Problem::Unavailable(format!("all {workers} processes are busy")));
        }
        state.busy += 1;
        let known = state.idle.iter().rposition(|(of, _)| *of == key);
        let child = known.map(|at| state.idle.remove(at).1);
        let surplus = state.busy + state.idle.len() > workers;
        let leaving = surplus.then(|| state.idle.remove(0));
        drop(state);
        drop(leaving);
        Ok(Seat { pool: self, key, child })
    }

    /// A child that has compiled the template. One that does not even report for work says nothing
    /// about the template.
    fn start(&self, source: &ChildTemplate) -> Result<Child, Problem> {
        let judge = |failure| child::judge(failure, self.limits.output_bytes);
        let mut worker = Worker::start(&self.program, self.bounds()).map_err(judge)?;
        let unable = |failure: Failure| Problem::Unavailable(failure.to_string());
        worker.ask(&Order::Report.encode()?).map_err(unable)?;
        let order = Order::Compile {
            source: (&source.text).into(),
            names: std::borrow::Cow::Borrowed(&source.names),
            output_bytes_max: self.limits.output_bytes,
        };
        let answer = worker.ask(&order.encode()?).map_err(judge)?;
        child::read(answer, self.limits.output_bytes).map(|_| Child { worker, used: false })
    }

    fn wall(&self) -> Duration {
        Duration::from_secs(self.limits.wall_s)
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            memory_bytes: self.limits.memory_bytes,
            cpu: Duration::from_secs(self.limits.cpu_s),
            wall: self.wall(),
            answer_bytes: self.limits.output_bytes + TAG_BYTES,
        }
    }
}
