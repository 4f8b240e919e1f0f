//! What a policy may be called. A reply's `model` is its expert's id, or the name of the policy that
//! answered instead, so the two must differ.

use crate::{PolicyError, UploadProblem, World};

/// Longest name of a policy, in bytes.
const NAME_BYTES: usize = 64;

/// Checks the name of an upload.
pub(super) fn check_new(name: &str, world: &dyn World) -> Result<(), PolicyError> {
    check_letters(name)?;
    if !is_an_experts(name, world) {
        return Ok(());
    }
    let reason = Box::new(UploadProblem {
        code: "upload_name_taken".into(),
        text: format!("an expert has the name '{name}'"),
        mend: "upload the policy under another name".into(),
    });
    Err(PolicyError::Rejected { name: name.into(), reason })
}

/// Checks the name of a stored policy, which an expert may have taken since.
pub(super) fn check_activated(name: &str, world: &dyn World) -> Result<(), PolicyError> {
    match is_an_experts(name, world) {
        true => Err(PolicyError::InvalidPipeline { message: taken(name) }),
        false => Ok(()),
    }
}

pub(super) fn is_an_experts(name: &str, world: &dyn World) -> bool {
    world.menu().iter().any(|expert| expert.id == name)
}

/// What is wrong with a stored policy that is called like an expert, and the mend.
pub(super) fn taken(name: &str) -> String {
    format!(
        "an expert has the name '{name}' as well, so replies can't say which of both answered; \
         upload the policy under another name, or rename the expert"
    )
}

pub(super) fn check_letters(name: &str) -> Result<(), PolicyError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.len() <= NAME_BYTES
        && name.starts_with(letter)
        && name.chars().all(|c| letter(c) || matches!(c, '-' | '_'));
    if fits { Ok(()) } else { Err(PolicyError::InvalidName { name: name.into() }) }
}
