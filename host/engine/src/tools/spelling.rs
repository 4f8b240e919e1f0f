//! The ways in which models write calls: their templates' own, and those that they fall into.

use super::arguments::Sureness;

/// A way to write calls: a mark, JSON, and another mark or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelling {
    pub(super) open: &'static str,
    /// Each may stand behind the JSON, and is no text.
    pub(super) close: &'static [&'static str],
    pub(super) sureness: Sureness,
}

impl Spelling {
    /// Whether nothing but a call stands behind its mark. Others are words as well, or what examples begin with.
    pub(super) fn is_certain(&self) -> bool {
        self.sureness == Sureness::Marked
            && self.open.starts_with(['<', '['])
            && self.open.ends_with(['>', ']'])
    }
}

const fn marked(open: &'static str, close: &'static [&'static str]) -> Spelling {
    Spelling { open, close, sureness: Sureness::Marked }
}

const fn likely(open: &'static str, close: &'static [&'static str]) -> Spelling {
    Spelling { open, close, sureness: Sureness::Likely }
}

/// A mark that another one begins with stands behind it.
pub(super) const SPELLINGS: &[Spelling] = &[
    marked("<tool_call>", &["</tool_call>"]), // Qwen, Hermes, SmolLM
    marked("<|tool_call|>", &["<|/tool_call|>", "<|tool_call|>"]), // Phi
    marked("<function_call>", &["</function_call>"]),
    marked("[TOOL_CALLS]", &[]),                     // Mistral
    marked("functools", &[]),                        // Phi, by habit
    marked("<|python_tag|>", &["<|eom_id|>"]),       // Llama
    marked("<|START_ACTION|>", &["<|END_ACTION|>"]), // Cohere
    likely("<tools>", &["</tools>"]),                // Qwen, by habit
    likely("Action: ```json", &["```"]),             // Cohere's older models
    likely("```json", &["```"]),
    likely("```tool_call", &["```"]),
    likely("```", &["```"]),
];

/// What newer Mistrals write between a tool's name and its arguments, or leave out.
pub(super) const ARGS: &str = "[ARGS]";

/// Whether names of tools that stand outside of JSON have this character.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || "_-.".contains(c)
}

/// Bytes of blanks, and of what parts one value from the next.
pub(super) fn blanks(text: &str, parted: bool) -> usize {
    let skipped = |c: char| c.is_whitespace() || (parted && matches!(c, ',' | ';'));
    text.len() - text.trim_start_matches(skipped).len()
}

/// Where JSON may stand without a mark: at the beginning of a line. Llama writes calls like that.
pub(super) const BARE: Spelling = likely("", &[]);

/// Keys with which calls begin; other objects are no calls and are not held back for long.
pub(super) const FIRST_KEYS: &[&str] = &[
    "name",
    "function",
    "tool_name",
    "tool",
    "function_name",
    "type",
    "id",
    "arguments",
    "parameters",
    "args",
    "tool_call_id",
];
