//! The decision log: what was chosen for each call, why, and how it ended. A call is logged once, when it ends, however
//! it ends. The newest stand in memory, bounded in records and in bytes; more of them in a ring of files, which
//! survives a restart and is written aside: no call waits for a disk, and none ends because of one.

mod disk;
mod input_view;
mod log;
mod outcome;
mod rating;
mod record;
mod seen;
#[cfg(test)]
mod tests;
mod trace;
mod words;
mod writer;

pub(crate) use log::{Decisions, Found, Keep};
pub(crate) use rating::Unrated;
pub(crate) use record::Record;
pub(crate) use seen::Seen;
pub(crate) use trace::Trace;
