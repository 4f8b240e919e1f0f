//! What a vocabulary makes of texts that are no conversation: their pieces, and prompts for what is missing
//! between two of them.

use super::{Tokenizer, encode, refuse_marks};

/// Marks for filling in, as vocabularies spell them: what stands before the gap, what stands behind it, and the gap.
const INFILL_MARKS: [[&str; 3]; 3] = [
    ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
    ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
    ["<\u{ff5c}fim▁begin\u{ff5c}>", "<\u{ff5c}fim▁hole\u{ff5c}>", "<\u{ff5c}fim▁end\u{ff5c}>"],
];

impl Tokenizer {
    /// A prompt for what is missing between two texts, in which control strings are text; `None` where the
    /// vocabulary has no marks for that.
    pub(crate) fn encode_infill(
        &self,
        before: &str,
        behind: &str,
    ) -> Result<Option<Vec<u32>>, String> {
        let ids = |marks: &[&str; 3]| -> Option<[u32; 3]> {
            let [before, behind, gap] = marks.map(|mark| self.id(mark));
            Some([before?, behind?, gap?])
        };
        let Some([prefix, suffix, middle]) = INFILL_MARKS.iter().find_map(ids) else {
            return Ok(None);
        };
        let mut prompt: Vec<u32> = self.opening.into_iter().collect();
        prompt.extend(encode(&self.armed, "", true)?);
        for (mark, text) in [(prefix, before), (suffix, behind)] {
            refuse_marks(text)?;
            prompt.push(mark);
            self.encode_stretch(text, false, &mut prompt)?;
        }
        prompt.push(middle);
        Ok(Some(prompt))
    }

    /// The ids of a text with the piece of it that each stands for, behind the beginning that prompts get
    /// where that is wanted.
    pub(crate) fn pieces(&self, text: &str, begun: bool) -> Result<Vec<(u32, Vec<u8>)>, String> {
        let ids = match begun {
            true => self.encode_prompt(text)?,
            false => {
                refuse_marks(text)?;
                encode(&self.armed, text, false)?
            }
        };
        Ok(ids.into_iter().map(|id| (id, self.token_bytes(id))).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::prompt_format::tests::toy_format;

    #[test]
    fn a_gap_stands_between_marks_that_nobody_types() {
        let tokenizer = toy_format("qwen_coder").tokenizer;
        let id = |mark: &str| tokenizer.id(mark).unwrap();
        let marks = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"].map(id);
        let ids = tokenizer.encode_infill("a = <|fim_middle|>", " + 1").unwrap().unwrap();
        let found: Vec<u32> = ids.iter().copied().filter(|id| marks.contains(id)).collect();
        assert_eq!((found, ids.last()), (marks.to_vec(), Some(&marks[2])));
        assert_eq!(toy_format("phi4_fast").tokenizer.encode_infill("a", "b").unwrap(), None);
    }

    #[test]
    fn pieces_are_the_text() {
        for id in ["qwen_coder", "mistral_balanced", "phi4_fast"] {
            let pieces = toy_format(id).tokenizer.pieces("Hello, world!", false).unwrap();
            let text: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.trim_start(), "Hello, world!", "{id}");
        }
    }
}
