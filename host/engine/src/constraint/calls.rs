//! A reply in which only calls of tools are held to something: what an expert says is free until a call begins, the call
//! follows its tool's schema, and behind it all is free again. A mask is made while a call is written, and where the next
//! token could begin one and go on wrongly at once; anywhere else there is none.

use llguidance::{
    Matcher,
    toktrie::{SimpleVob, TokEnv},
};

use super::{
    forms::{Written, closing, selector},
    mask::{Mask, cant_follow},
};
use crate::{
    tokenizer::Detokenizer,
    tools::{Form, Openings, certain_marks},
};

/// A beginning of a call has so many bytes, and one of these.
const BEGINNING_BYTES_MIN: usize = 11;
const BEGINNING_BYTES: &[u8] = b"<[{";

/// Where a reply stands.
pub(crate) struct Calls {
    /// The grammar of calls, from its beginning.
    grammar: Matcher,
    vocabulary: TokEnv,
    words: Detokenizer,
    openings: Openings,
    /// Tokens that are marks of calls, whether they leave a text or not, and whose.
    marks: Vec<(u32, usize)>,
    /// Spellings whose closing mark the grammar wants, and whether their marks leave no text.
    closed: Vec<(usize, bool)>,
    /// Tokens that hold a whole beginning of a call, and more.
    whole: Vec<u32>,
    /// The call that is being written.
    call: Option<(Form, Matcher)>,
}

impl Calls {
    /// For a reply in which calls begin as `openings` has it. `token` says which token a mark is, `written` how it is
    /// written within a reply.
    pub(super) fn new(
        grammar: Matcher,
        words: Detokenizer,
        openings: Openings,
        token: impl Fn(&str) -> Option<u32>,
        written: impl Fn(&str) -> Written,
    ) -> Result<Self, String> {
        let vocabulary = grammar.tok_env().map_err(|error| error.to_string())?;
        let marks = certain_marks().filter_map(|(spelling, mark)| Some((token(mark)?, spelling)));
        let silent = |mark| matches!(written(mark), Written::Token(_));
        let closed = certain_marks().map(|(spelling, mark)| (spelling, silent(mark)));
        let closed = closed.filter(|(spelling, _)| closing(*spelling, &written).is_some());
        let (marks, closed) = (marks.collect(), closed.collect());
        let whole = whole_beginnings(&vocabulary, &openings);
        Ok(Self { grammar, vocabulary, words, openings, marks, closed, whole, call: None })
    }

    /// Tokens that may come next; `None` where all may.
    pub(super) fn mask(&mut self) -> Result<Option<Mask>, String> {
        if let Some((_, call)) = &mut self.call {
            let mask = call.compute_mask_or_eos().map_err(|error| cant_follow(call, &error))?;
            return Ok(Some(Mask(mask)));
        }
        let barred = self.barred()?;
        if barred.is_empty() {
            return Ok(None);
        }
        let mut mask = SimpleVob::alloc_ones(self.vocabulary.tok_trie().vocab_size());
        barred.into_iter().for_each(|token| mask.disallow_token(token));
        Ok(Some(Mask(mask)))
    }

    /// A token of the mask came.
    pub(super) fn accept(&mut self, token: u32) -> Result<(), String> {
        let text = self.words.push(token);
        if let Some((form, call)) = &mut self.call {
            call.consume_token(token).map_err(|error| cant_follow(call, &error))?;
            if call.is_stopped() {
                let mut closed = self.closed.iter();
                let closed = closed.find(|(spelling, _)| Form::Marked(*spelling) == *form);
                closed.into_iter().for_each(|(_, silent)| self.openings.closed(*silent));
                self.call = None;
            }
            return Ok(());
        }
        let mark = self.marks.iter().find(|(mark, _)| *mark == token);
        let begun = match mark {
            Some((_, spelling)) => Some((self.openings.marked(*spelling), String::new())),
            None => self.openings.push(&text),
        };
        if let Some((form, there)) = begun {
            let mut call = self.begun(form)?;
            let there = self.spelled(there.as_bytes());
            call.consume_tokens(&there).map_err(|error| cant_follow(&call, &error))?;
            self.call = Some((form, call));
        }
        Ok(())
    }

    /// Tokens with which a call would begin and go on as it may not.
    fn barred(&self) -> Result<Vec<u32>, String> {
        let trie = self.vocabulary.tok_trie();
        let (mut barred, mut begun) = (Vec::new(), Vec::new());
        let mut beginnings = Vec::new();
        if self.openings.may_have_begun() {
            beginnings.push(Vec::new());
        }
        while let Some(beginning) = beginnings.pop() {
            let Some(node) = trie.child_at_bytes(trie.root(), &beginning) else { continue };
            for next in trie.node_children(node) {
                let bytes = [&beginning[..], &[next.byte()]].concat();
                let Some(wrong) = self.goes_wrong(&bytes, &mut begun)? else { continue };
                barred.extend(next.token_id().filter(|_| wrong));
                if next.subtree_size() > 1 {
                    beginnings.push(bytes);
                }
            }
        }
        for token in &self.whole {
            if self.goes_wrong(trie.token(*token), &mut begun)? == Some(true) {
                barred.push(*token);
            }
        }
        Ok(barred)
    }

    /// Whether these bytes begin a call and go on as it may not; `None` where no call begins with them, nor may begin.
    /// Forms that were looked at are in `begun`.
    fn goes_wrong(
        &self,
        bytes: &[u8],
        begun: &mut Vec<(Form, Matcher)>,
    ) -> Result<Option<bool>, String> {
        let (opening, may) = self.openings.behind(bytes);
        let Some((form, there)) = opening else { return Ok(may.then_some(false)) };
        if there.is_empty() {
            return Ok(Some(false));
        }
        if !begun.iter().any(|(known, _)| *known == form) {
            begun.push((form, self.begun(form)?));
        }
        let spelled = self.spelled(&there);
        let length: usize = spelled.iter().map(|token| self.bytes(*token)).sum();
        let mut known = begun.iter_mut().filter(|(known, _)| *known == form);
        let fits = known.next().map_or(Ok(0), |(_, call)| call.validate_tokens(&spelled));
        let fits = fits.map_err(|error| error.to_string())?;
        Ok(Some(fits < spelled.len() || length < there.len()))
    }

    /// At the beginning of a form.
    fn begun(&self, form: Form) -> Result<Matcher, String> {
        let mut call = self.grammar.deep_clone();
        let selector = self.spelled(selector(form).as_bytes());
        call.consume_tokens(&selector).map_err(|error| cant_follow(&call, &error))?;
        Ok(call)
    }

    /// Tokens that spell a text, whichever.
    fn spelled(&self, text: &[u8]) -> Vec<u32> {
        self.vocabulary.tok_trie().greedy_tokenize(text)
    }

    fn bytes(&self, token: u32) -> usize {
        self.vocabulary.tok_trie().token(token).len()
    }
}

/// Tokens that hold a whole beginning of a call, and more.
fn whole_beginnings(vocabulary: &TokEnv, openings: &Openings) -> Vec<u32> {
    let trie = vocabulary.tok_trie();
    let holds = |token: &u32| {
        let bytes = trie.token(*token);
        bytes.len() > BEGINNING_BYTES_MIN
            && bytes.iter().any(|byte| BEGINNING_BYTES.contains(byte))
            && !trie.is_special_token(*token)
            && openings.behind(bytes).0.is_some_and(|(_, there)| !there.is_empty())
    };
    (0..trie.vocab_size() as u32).filter(holds).collect()
}
