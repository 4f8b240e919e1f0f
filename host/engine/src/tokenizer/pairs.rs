//! Two texts as one sequence: what a cross-encoder reads. Both are cut as transformers cuts them, the longer one first.

use tokenizers::{
    PostProcessor, TruncationParams, TruncationStrategy, utils::truncation::truncate_encodings,
};

use super::{Tokenizer, Vocabulary, refuse_marks};

impl Tokenizer {
    /// The ids of two texts that are compared, with the kind of each. Where they have to be no more than `most`, the longer
    /// text loses its end first.
    pub(crate) fn encode_pair(
        &self,
        first: &str,
        second: &str,
        most: Option<usize>,
    ) -> Result<(Vec<u32>, Vec<u32>), String> {
        let mut hostile = false;
        for text in [first, second] {
            refuse_marks(text)?;
            hostile |= self.controls.finder.found.is_match(text)
                || (self.controls.normalised && self.has_controls(text)?);
        }
        let vocabulary = if hostile { self.unarmed()? } else { &self.armed };
        encode(vocabulary, (first, second), most).map_err(|error| error.to_string())
    }
}

/// The ids, and the kind of each.
fn encode(
    vocabulary: &Vocabulary,
    (first, second): (&str, &str),
    most: Option<usize>,
) -> tokenizers::Result<(Vec<u32>, Vec<u32>)> {
    let mut whole = vocabulary.encode_fast((first, second), true)?;
    if let Some(most) = most.filter(|most| whole.len() > *most) {
        let processor = vocabulary.get_post_processor();
        let added = processor.map_or(0, |processor| processor.added_tokens(true));
        let params = TruncationParams {
            max_length: most.saturating_sub(added),
            strategy: TruncationStrategy::LongestFirst,
            ..TruncationParams::default()
        };
        let first = vocabulary.encode_fast(first, false)?;
        let mut second = vocabulary.encode_fast(second, false)?;
        let kinds = vec![1; second.len()];
        second.set_type_ids(kinds);
        let (first, second) = truncate_encodings(first, Some(second), &params)?;
        whole = vocabulary.post_process(first, second, true)?;
    }
    Ok((whole.get_ids().to_vec(), whole.get_type_ids().to_vec()))
}
