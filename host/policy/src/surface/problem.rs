//! What is wrong with an upload, in words for its author.

use signalbox_confine::{LINE_BYTES, clean};

use crate::UploadProblem;

/// The text may repeat names of the component, which are a stranger's.
pub(super) fn problem(
    code: &'static str,
    text: impl AsRef<str>,
    mend: impl Into<String>,
) -> UploadProblem {
    let text = clean(text.as_ref(), LINE_BYTES);
    UploadProblem { code: code.into(), text, mend: mend.into() }
}

pub(super) fn malformed(error: wasmparser::BinaryReaderError) -> UploadProblem {
    let (message, offset) = (error.message(), error.offset());
    let text = format!("the component is malformed at byte {offset}: {message}");
    problem("upload_malformed", text, "check that the file is complete and build it again")
}
