//! What the handles of `request` and `expert` stand for.

use std::sync::Arc;

use crate::{Call, ExpertView};

/// What a `request` handle stands for.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ShownRequest(pub(crate) Arc<Call>);

/// What an `expert` handle stands for: a line of one menu.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ShownExpert {
    pub(crate) menu: Arc<[ExpertView]>,
    pub(crate) line: usize,
}
