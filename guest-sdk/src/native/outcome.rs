//! What came of a call, as a test has it.

use std::marker::PhantomData;

use crate::bindings::signalbox::policy::outcomes::End;

#[derive(Clone, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) expert: Option<String>,
    pub(crate) end: End,
    pub(crate) first_text_ms: Option<u32>,
    pub(crate) total_ms: u32,
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) cached_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    pub(crate) rating: Option<f32>,
    pub(crate) note: Option<String>,
    pub(crate) borrow: PhantomData<&'a ()>,
}

impl Outcome<'_> {
    pub(crate) fn expert(&self) -> Option<String> {
        self.expert.clone()
    }

    pub(crate) fn end(&self) -> End {
        self.end.clone()
    }

    pub(crate) fn first_text_ms(&self) -> Option<u32> {
        self.first_text_ms
    }

    pub(crate) fn total_ms(&self) -> u32 {
        self.total_ms
    }

    pub(crate) fn prompt_tokens(&self) -> Option<u32> {
        self.prompt_tokens
    }

    pub(crate) fn cached_tokens(&self) -> Option<u32> {
        self.cached_tokens
    }

    pub(crate) fn completion_tokens(&self) -> Option<u32> {
        self.completion_tokens
    }

    pub(crate) fn rating(&self) -> Option<f32> {
        self.rating
    }

    pub(crate) fn note(&self) -> Option<String> {
        self.note.clone()
    }
}
