//! Words of strangers in a record: on one line each, and cut.

use signalbox_confine::clean;

/// Bytes of the name of a call, an expert or a policy.
const NAME_BYTES_MAX: usize = 128;

/// Text within its bound.
pub(super) type Text = Box<str>;

pub(super) fn name(text: &str) -> Text {
    cut(text, NAME_BYTES_MAX)
}

pub(super) fn cut(text: &str, bytes_max: usize) -> Text {
    clean(text, bytes_max).into_boxed_str()
}

pub(super) fn text_bytes(text: Option<&Text>) -> usize {
    text.map_or(0, |text| text.len())
}

pub(super) fn list_bytes(list: &Vec<Text>) -> usize {
    list.capacity() * size_of::<Text>() + list.iter().map(|text| text.len()).sum::<usize>()
}
