//! Labels as a reply may begin with them: templates end in different ways, so one may come behind a space or not.

use super::{PromptFormat, invalid};
use crate::{EngineError, expert::Weighing};

impl PromptFormat {
    /// Labels, in all ways to write each, to be weighed where `room` tokens have room; `None` where there are none. What is
    /// more than one token counts only where the label has no spelling of one.
    pub(crate) fn weighing(
        &self,
        labels: &[Vec<String>],
        room: u32,
    ) -> Result<Option<Weighing>, EngineError> {
        if labels.is_empty() {
            return Ok(None);
        }
        let labels = labels.iter().map(|texts| self.spellings(texts)).collect::<Result<_, _>>()?;
        let weighing = Weighing::new(labels);
        match weighing.longest() {
            longest if longest > room => Err(invalid(format!(
                "the longest label has {longest} tokens, and there is room for {room} behind the prompt"
            ))),
            _ => Ok(Some(weighing)),
        }
    }

    /// All spellings of one token, or else the first of all.
    fn spellings(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, EngineError> {
        let spaced = texts.iter().map(|text| format!(" {text}"));
        let mut spellings = Vec::new();
        for text in texts.iter().filter(|text| !text.is_empty()).cloned().chain(spaced) {
            let ids = self.tokenizer.bare(&text).map_err(invalid)?;
            self.known(&ids)?;
            if !ids.is_empty() && !spellings.contains(&ids) {
                spellings.push(ids);
            }
        }
        match spellings.iter().any(|ids| ids.len() == 1) {
            true => spellings.retain(|ids| ids.len() == 1),
            false => spellings.truncate(1),
        }
        if spellings.is_empty() { Err(invalid("a label has no spelling")) } else { Ok(spellings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt_format::tests::toy_format;

    fn check(id: &str, label: &str, expect: &[&[&str]]) {
        let format = toy_format(id);
        let spellings = format.spellings(&[label.to_owned()]).unwrap();
        let texts =
            |ids: &Vec<u32>| ids.iter().map(|id| format.tokenizer.token_bytes(*id)).collect();
        let found: Vec<Vec<Vec<u8>>> = spellings.iter().map(texts).collect();
        let expect: Vec<Vec<&[u8]>> =
            expect.iter().map(|ids| ids.iter().map(|text| text.as_bytes()).collect()).collect();
        assert_eq!(found, expect, "{label} of {id}");
    }

    #[test]
    fn a_label_is_one_token_behind_a_space_or_not_where_there_is_one() {
        check("qwen_coder", "A", &[&["A"], &[" A"]]);
        check("mistral_balanced", "A", &[&[" A"]]);
        check("qwen_coder", "QX", &[&["Q", "X"]]);
    }

    #[test]
    fn labels_that_say_nothing_or_do_not_fit_are_refused() {
        let format = toy_format("qwen_coder");
        let check = |labels: &[&str], room| {
            let labels: Vec<_> = labels.iter().map(|label| vec![(*label).to_owned()]).collect();
            format.weighing(&labels, room).map(|weighing| weighing.is_some())
        };
        assert!(matches!(check(&[], 0), Ok(false)));
        assert!(matches!(check(&["A", "B"], 1), Ok(true)));
        assert!(matches!(check(&["A", "QX"], 1), Err(EngineError::InvalidRequest { .. })));
        assert!(format.weighing(&[vec![]], 9).is_err());
    }
}
