//! What was asked, and how it was answered, before it is written in anybody's words.

use signalbox_engine::Usage;

use super::question::Question;
pub(super) use crate::pipeline::Weights;
use crate::request_id::RequestId;

/// What was asked, and the answer to each question.
pub(super) struct Answered {
    pub(super) id: RequestId,
    /// Who answered.
    pub(super) model: String,
    /// `None` where a policy answered instead.
    pub(super) answers: Vec<(Question, Option<Weights>)>,
    /// What all of them cost.
    pub(super) usage: Usage,
}
