//! What a message says in OpenAI's words: a string, or parts of text and images, in the spellings of chat and of
//! responses.

use std::borrow::Cow;

use serde_json::value::RawValue;
use signalbox_confine::clean;

use super::{
    conversation::Content,
    fields::{Fields, Names, NoList, list, text},
};
use crate::{error::ApiError, limits::PARTS_MAX};

/// Bytes of a kind of part that an error repeats.
const SHOWN: usize = 100;

const PART_NAMES: Names = &[&["type", "text", "refusal", "image_url"]];
const IMAGE_NAMES: Names = &[&["url"]];

/// A string, or an array of parts.
pub(super) fn content(sent: &RawValue, at: &str) -> Result<Content, ApiError> {
    if let Some(text) = text(sent) {
        return Ok(Content::of(&text));
    }
    let parts = list(sent, PARTS_MAX).map_err(|why| match why {
        NoList::Long => ApiError::value(at, format!("'{at}' has over {PARTS_MAX} parts")),
        NoList::Other => {
            ApiError::value(at, format!("'{at}' must be a string or an array of parts"))
        }
    })?;
    let mut content = Content::default();
    for (i, value) in parts.into_iter().enumerate() {
        part(value, &format!("{at}[{i}]"), &mut content)?;
    }
    Ok(content)
}

fn part(part: &RawValue, at: &str, to: &mut Content) -> Result<(), ApiError> {
    let unreadable = || {
        let text = format!(
            "'{at}' must be like {{\"type\": \"text\", \"text\": \"...\"}} or {{\"type\": \
             \"image_url\", \"image_url\": {{\"url\": \"data:image/png;base64,...\"}}}}"
        );
        ApiError::value(at, text)
    };
    let mut part = Fields::of(part, PART_NAMES, format!("{at}.")).ok_or_else(unreadable)?;
    let kind = part.take("type").and_then(text).ok_or_else(unreadable)?;
    match &*kind {
        "text" | "input_text" | "output_text" => {
            to.say(&part.take("text").and_then(text).ok_or_else(unreadable)?);
        }
        "refusal" => to.say(&part.take("refusal").and_then(text).ok_or_else(unreadable)?),
        "image_url" | "input_image" => {
            to.show(at, image_url(&mut part).ok_or_else(unreadable)?.into_owned());
        }
        other => {
            let other = clean(other, SHOWN);
            let text =
                format!("parts of type '{other}' can't be read; send 'text' and 'image_url'");
            return Err(ApiError::unsupported(at, text));
        }
    }
    Ok(())
}

/// Either of OpenAI's forms: an object with a `url`, or the URL itself.
fn image_url<'b>(part: &mut Fields<'b>) -> Option<Cow<'b, str>> {
    let image = part.take("image_url")?;
    text(image).or_else(|| text(Fields::of(image, IMAGE_NAMES, "")?.take("url")?))
}
