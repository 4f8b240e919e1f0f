//! What the handles stand for that guests hold.

use std::sync::Arc;

use crate::{
    Call, ExpertView,
    buckets::{Bucket, Seen},
};

/// What a `request` handle stands for.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ShownRequest(pub(crate) Arc<Call>);

/// What an `expert` handle stands for: a line of one menu.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ShownExpert {
    pub(crate) menu: Arc<[ExpertView]>,
    pub(crate) line: usize,
}

/// What a `bucket` handle stands for.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenBucket(pub(crate) Arc<Bucket>);

/// What a `cas` handle stands for: a key, and its value as it was seen.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Swap {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) key: String,
    pub(crate) seen: Seen,
}
