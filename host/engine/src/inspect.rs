//! What can be known about an expert before a byte of its weights is read: the findings that
//! `signalbox check` prints and that decide whether the fleet will serve it.

use crate::{
    opened::Opened,
    settings::{ExpertSettings, Templates},
    template::Renderers,
};

mod declared;
mod encoder;
mod finding;
mod memory;
mod survey;
mod vocabulary;

pub(crate) use finding::RESOURCES_SHORT;
pub use finding::{Faults, Finding, Inspection, Severity};

/// Reads the headers of an expert's files and says what is wrong with them. Takes milliseconds and
/// never fails: what can't be read is a finding.
pub fn inspect(settings: &ExpertSettings, templates: &Templates) -> Inspection {
    inspect_opened(settings, &Renderers::open(templates)).0
}

/// The same, and the checkpoint that was opened for it.
pub(crate) fn inspect_opened(
    settings: &ExpertSettings,
    renderers: &Renderers,
) -> (Inspection, Option<Opened>) {
    let mut inspection = Inspection::default();
    let opened = survey::survey(settings, renderers, &mut inspection);
    (inspection, opened)
}
