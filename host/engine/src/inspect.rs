//! What can be known about an expert before a byte of its weights is read: the findings that
//! `signalbox check` prints and that decide whether the fleet will serve it.

use crate::{
    settings::{ExpertSettings, Templates},
    template::Renderers,
};

mod finding;
mod survey;

pub(crate) use finding::RESOURCES_SHORT;
pub use finding::{Faults, Finding, Inspection, Severity};

/// Reads the headers of an expert's files and says what is wrong with them. Takes milliseconds and
/// never fails: what can't be read is a finding.
pub fn inspect(settings: &ExpertSettings, templates: &Templates) -> Inspection {
    let mut inspection = Inspection::default();
    survey::survey(settings, &Renderers::open(templates), &mut inspection);
    inspection
}
