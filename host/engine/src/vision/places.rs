//! Where pictures stand among tokens: each takes one unbroken run of placeholders, and such a run is
//! never fed in two parts, for its tokens see each other.

use std::ops::Range;

use crate::{Image, spec::VisionSpec};

/// A picture and the tokens it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// Its placeholders, counted from the beginning of the prompt.
    pub(crate) span: Range<usize>,
    pub(crate) image: Image,
}

/// A picture as the decoder takes it.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// Positions of its placeholders in the sequence.
    pub(crate) span: Range<usize>,
    /// What stands there instead of embeddings: `(span, hidden)`.
    pub(crate) features: Vec<f32>,
}

/// Finds the places of `images` in a prompt, first come first. The error says what does not fit.
pub(crate) fn place(
    spec: Option<&VisionSpec>,
    ids: &[u32],
    images: &[Image],
) -> Result<Vec<Placed>, String> {
    let spans = spec.map_or_else(Vec::new, |spec| runs(ids, spec.placeholder));
    if spans.len() != images.len() {
        let (places, given) = (spans.len(), images.len());
        return Err(format!("the prompt has places for {places} images, and {given} are given"));
    }
    let tokens = spec.map_or(0, VisionSpec::tokens);
    if let Some(odd) = spans.iter().find(|span| span.len() != tokens) {
        let len = odd.len();
        return Err(format!("an image takes {tokens} tokens, but a place for one has {len}"));
    }
    let placed = spans.into_iter().zip(images);
    Ok(placed.map(|(span, image)| Placed { span, image: image.clone() }).collect())
}

fn runs(ids: &[u32], placeholder: u32) -> Vec<Range<usize>> {
    let mut end = 0;
    let same = ids.chunk_by(|a, b| (*a == placeholder) == (*b == placeholder)).map(|run| {
        end += run.len();
        (run[0], end - run.len()..end)
    });
    same.filter(|(id, _)| *id == placeholder).map(|(_, span)| span).collect()
}

/// Where a chunk ends that begins at `from` and wants to end at `to`: before a picture that would be
/// split, or, when the picture is its very beginning, behind it.
pub(crate) fn chunk_end<'a>(
    spans: impl IntoIterator<Item = &'a Range<usize>>,
    from: usize,
    to: usize,
) -> usize {
    match spans.into_iter().find(|span| span.start < to && to < span.end) {
        None => to,
        Some(split) if split.start > from => split.start,
        Some(split) => split.end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_wherever_they_stand() {
        assert_eq!(runs(&[9, 9, 1, 9, 2, 9, 9], 9), [0..2, 3..4, 5..7]);
        assert!(runs(&[1, 2], 9).is_empty() && runs(&[], 9).is_empty());
    }

    #[test]
    fn places_and_images_must_match() {
        let spec = VisionSpec {
            image_size: 4,
            patch_size: 2,
            hidden: 4,
            intermediate: 4,
            layers: 1,
            heads: 1,
            eps: 1e-6,
            tokens_per_side: 2,
            placeholder: 9,
        };
        let image = |level| Image::raw(1, 1, vec![level; 3]);
        let ids = [1, 9, 9, 9, 9, 2, 9, 9, 9, 9];
        let placed = place(Some(&spec), &ids, &[image(1), image(2)]).unwrap();
        let second = Placed { span: 6..10, image: image(2) };
        assert_eq!(placed, [Placed { span: 1..5, image: image(1) }, second]);
        let error = place(Some(&spec), &ids, &[image(1)]).unwrap_err();
        assert_eq!(error, "the prompt has places for 2 images, and 1 are given");
        let error = place(Some(&spec), &ids[..4], &[image(1)]).unwrap_err();
        assert_eq!(error, "an image takes 4 tokens, but a place for one has 3");
        assert_eq!(place(None, &ids, &[]), Ok(Vec::new()), "a token like any other");
    }

    /// Chunks of every size cover a prompt without splitting a picture, and are only longer than asked
    /// where a picture is.
    #[test]
    fn no_chunk_splits_a_picture() {
        let spans = [3..7, 7..11, 14..18];
        for size in 1..=20 {
            let mut from = 0;
            while from < 20 {
                let end = chunk_end(&spans, from, (from + size).min(20));
                assert!(end > from);
                let split = spans.iter().find(|span| span.start < end && end < span.end);
                assert_eq!(split, None, "chunks of {size}: {from}..{end}");
                let whole = spans.iter().any(|span| *span == (from..end));
                assert!(end - from <= size || whole, "chunks of {size}: {from}..{end}");
                from = end;
            }
        }
    }
}
