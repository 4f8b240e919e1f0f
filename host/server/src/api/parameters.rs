//! What other servers read in a call and this one does not: what would change the reply is refused by
//! name, what changes nothing is accepted, and what nobody knows is told to the caller.

use serde_json::value::RawValue;

use super::fields::{Fields, is_empty, list, text};
use crate::{error::ApiError, pipeline::Form};

/// More kinds of reply than there are.
const MODALITIES_MAX: usize = 16;
/// How alike a name must be to be suggested, 0 to 1.
const ALIKE: f64 = 0.7;

/// A field, the values that change nothing, and the refusal of others. Whoever reads a field takes it out
/// before, so that some are refused at one endpoint only.
type Unsupported = (&'static str, fn(&RawValue) -> bool, &'static str);

const OTHER_FORM: &str =
    "say it as 'response_format', or as guided_regex, guided_choice or guided_grammar (Lark)";
const NO_SAMPLER: &str = "there is no such sampler here; use temperature, top_p, top_k or min_p";
const NO_TEMPLATE: &str = "the expert's own chat template is used; leave it out";
const NO_DETAILS: &str = "it is not given; leave it out";
const NO_ADAPTERS: &str = "there are no adapters; name another expert in 'model'";
const NO_CUT: &str = "prompts are never cut; shorten the conversation";
const ONE_REPLY: &str = "ask for several replies with 'n'";
const CHAT_ONLY: &str = "it is for conversations; use /v1/chat/completions";
const SYSTEM: &str = "send it as a message of the role 'system'";

const UNSUPPORTED: [Unsupported; 62] = [
    ("min_keep", is_one_at_most, NO_SAMPLER),
    ("num_return_sequences", is_one, ONE_REPLY),
    ("use_beam_search", is_off, ONE_REPLY),
    ("tools", is_empty, CHAT_ONLY),
    ("functions", is_empty, "write functions as 'tools'"),
    ("tool_choice", is_no_tool, CHAT_ONLY),
    ("function_call", is_no_tool, "write it as 'tool_choice'"),
    ("web_search_options", is_empty, "experts here don't search; leave it out"),
    ("prompt_logprobs", is_off, "log probabilities are not given; leave it out"),
    ("n_probs", is_off, "log probabilities are not given; leave it out"),
    ("top_n_tokens", is_off, NO_DETAILS),
    ("return_token_ids", is_off, NO_DETAILS),
    ("return_tokens", is_off, NO_DETAILS),
    ("return_tokens_as_token_ids", is_off, NO_DETAILS),
    ("decoder_input_details", is_off, NO_DETAILS),
    ("details", is_off, NO_DETAILS),
    ("structural_tag", is_empty, OTHER_FORM),
    ("grammar", is_empty, OTHER_FORM),
    ("ebnf", is_empty, OTHER_FORM),
    ("format", is_empty, OTHER_FORM),
    ("verbosity", is_medium, "ask for it in the prompt instead"),
    ("bad_words", is_empty, "words can't be barred; leave 'bad_words' out"),
    ("allowed_token_ids", is_empty, "tokens can't be barred; leave it out"),
    ("logits_processors", is_empty, NO_SAMPLER),
    ("samplers", is_empty, NO_SAMPLER),
    ("mirostat", is_off, NO_SAMPLER),
    ("mirostat_mode", is_off, NO_SAMPLER),
    ("typical_p", is_one, NO_SAMPLER),
    ("tfs_z", is_one, NO_SAMPLER),
    ("top_a", is_off, NO_SAMPLER),
    ("top_n_sigma", is_not_above_0, NO_SAMPLER),
    ("dynatemp_range", is_off, NO_SAMPLER),
    ("xtc_probability", is_off, NO_SAMPLER),
    ("dry_multiplier", is_off, NO_SAMPLER),
    ("epsilon_cutoff", is_off, NO_SAMPLER),
    ("eta_cutoff", is_off, NO_SAMPLER),
    ("no_repeat_ngram_size", is_off, NO_SAMPLER),
    ("penalty_alpha", is_off, NO_SAMPLER),
    ("watermark", is_off, NO_SAMPLER),
    ("include_stop_str_in_output", is_off, "stop strings are never part of a reply; leave it out"),
    ("skip_special_tokens", is_on, "control tokens are never part of a reply; leave it out"),
    ("continue_final_message", is_off, CHAT_ONLY),
    ("add_generation_prompt", is_on, CHAT_ONLY),
    ("parallel_tool_calls", is_on_or_off, CHAT_ONLY),
    ("chat_template", is_empty, NO_TEMPLATE),
    ("chat_template_kwargs", is_no_thought, NO_TEMPLATE),
    ("template", is_empty, NO_TEMPLATE),
    ("raw", is_off, "use /v1/completions for prompts without a template"),
    ("documents", is_empty, "there is no retrieval; put the documents into the messages"),
    ("system", is_empty, SYSTEM),
    ("instructions", is_empty, SYSTEM),
    ("safe_prompt", is_off, SYSTEM),
    ("options", is_empty, "write its fields beside the messages, not within 'options'"),
    ("truncate_prompt_tokens", is_not_above_0, NO_CUT),
    ("truncate", is_not_above_0, NO_CUT),
    ("transforms", is_empty, NO_CUT),
    ("lora", is_empty, NO_ADAPTERS),
    ("adapter_id", is_empty, NO_ADAPTERS),
    ("modalities", is_text_only, "replies are text; leave 'modalities' out"),
    ("audio", is_empty, "replies are text; leave 'audio' out"),
    ("echo", is_off, "the prompt is not echoed; leave 'echo' out"),
    ("suffix", is_empty, "text is continued, not filled in; leave 'suffix' out"),
];

/// The fields that are refused unless they change nothing.
pub(super) const REFUSED: &[&str] = &names(UNSUPPORTED);
/// Another one, which depends on the endpoint.
pub(super) const BEGINNINGS: &[&str] = &[BEGINNING];

const fn names<const N: usize>(table: [Unsupported; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = table[at].0;
        at += 1;
    }
    names
}

/// Fields that change nothing here: they are for accounts, caches, schedulers and tools of other
/// servers, for thinking, which no expert here does, or for samplers that are refused when they are on.
pub(super) const HARMLESS: &[&str] = &[
    "user",
    "store",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "reasoning_effort",
    "reasoning",
    "reasoning_format",
    "reasoning_budget",
    "include_reasoning",
    "enable_thinking",
    "thinking",
    "think",
    "spaces_between_special_tokens",
    "detokenize",
    "length_penalty",
    "early_stopping",
    "guided_decoding_backend",
    "guided_whitespace_pattern",
    "mirostat_tau",
    "mirostat_eta",
    "dynatemp_exponent",
    "xtc_threshold",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "n_keep",
    "n_discard",
    "num_ctx",
    "num_keep",
    "priority",
    "request_id",
    "cache_salt",
    "cache_prompt",
    "id_slot",
    "keep_alive",
    "timings_per_token",
    "return_progress",
    "provider",
];

/// Whether a prompt gets a beginning: in a conversation the template writes it, elsewhere it is put there.
const BEGINNING: &str = "add_special_tokens";

/// Refuses by name what would change the reply.
pub(super) fn refuse(fields: &mut Fields<'_>, form: Form) -> Result<(), ApiError> {
    let done = match form {
        Form::Chat => is_off,
        Form::Text => is_on,
    };
    if fields.take(BEGINNING).is_some_and(|value| !done(value)) {
        let message =
            format!("'{BEGINNING}': a prompt begins as the expert wants it; leave it out");
        return Err(ApiError::unsupported(BEGINNING, message));
    }
    for (name, harmless, message) in UNSUPPORTED {
        if fields.take(name).is_some_and(|value| !harmless(value)) {
            return Err(ApiError::unsupported(name, format!("'{name}': {message}")));
        }
    }
    Ok(())
}

/// What to say of the fields that nobody knows: most are misspelt.
pub(super) fn warnings(fields: &Fields<'_>) -> Vec<String> {
    fields.unknown().iter().map(|name| warning(name, fields.names())).collect()
}

fn warning<'n>(unknown: &str, known: impl Iterator<Item = &'n str>) -> String {
    let likeness = |name: &'n str| (strsim::jaro_winkler(unknown, name), name);
    let nearest = known.map(likeness).max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest.filter(|(likeness, _)| *likeness >= ALIKE) {
        Some((_, name)) => format!("'{unknown}' is unknown and ignored; is '{name}' meant?"),
        None => format!("'{unknown}' is unknown and ignored"),
    }
}

fn number(value: &RawValue) -> Option<f64> {
    let literal = value.get();
    literal.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| literal.parse().ok())?
}

fn is_one(value: &RawValue) -> bool {
    number(value) == Some(1.0)
}

fn is_one_at_most(value: &RawValue) -> bool {
    number(value).is_some_and(|number| (0.0..=1.0).contains(&number))
}

fn is_not_above_0(value: &RawValue) -> bool {
    number(value).is_some_and(|number| number <= 0.0)
}

fn is_off(value: &RawValue) -> bool {
    value.get() == "false" || number(value) == Some(0.0)
}

fn is_on(value: &RawValue) -> bool {
    value.get() == "true"
}

fn is_on_or_off(value: &RawValue) -> bool {
    is_on(value) || is_off(value)
}

fn is_no_tool(value: &RawValue) -> bool {
    text(value).is_some_and(|choice| choice == "none" || choice == "auto")
}

fn is_medium(value: &RawValue) -> bool {
    text(value).is_some_and(|choice| choice == "medium")
}

fn is_text_only(value: &RawValue) -> bool {
    let is_text = |item| text(item).is_some_and(|item| item == "text");
    list(value, MODALITIES_MAX).is_ok_and(|items| items.into_iter().all(is_text))
}

/// Nothing, or switches of a thinking that no expert here does.
fn is_no_thought(value: &RawValue) -> bool {
    const SWITCHES: &[&[&str]] = &[&["enable_thinking", "thinking"]];
    let others = Fields::parse(value.get().as_bytes(), SWITCHES).map(|own| own.unknown().len());
    others.is_ok_and(|others| others == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::Names;

    const NAMES: Names = &[&["temperature"], REFUSED, BEGINNINGS, HARMLESS];

    fn fields(body: &str) -> Fields<'_> {
        Fields::parse(body.as_bytes(), NAMES).unwrap()
    }

    fn check(name: &str, harmless: &[&str], refused: &[&str]) {
        for value in harmless {
            let body = format!(r#"{{"{name}": {value}}}"#);
            assert_eq!(refuse(&mut fields(&body), Form::Chat), Ok(()), "{body}");
        }
        for value in refused {
            let body = format!(r#"{{"{name}": {value}}}"#);
            let error = refuse(&mut fields(&body), Form::Chat).unwrap_err();
            assert_eq!(error.code(), "unsupported_parameter", "{body}");
            assert!(format!("{error:?}").contains(&format!("Some({name:?})")), "{error:?}");
        }
    }

    #[test]
    fn parameters_of_other_servers_are_refused_by_name_unless_they_change_nothing() {
        check("tools", &["[]", "null"], &[r#"[{"type": "function"}]"#]);
        check("tool_choice", &[r#""auto""#], &[r#""required""#, "{}"]);
        check("modalities", &[r#"["text"]"#], &[r#"["text", "audio"]"#]);
        check("grammar", &[r#""""#], &[r#""root ::= [0-9]+""#]);
        check("bad_words", &["[]"], &[r#"["Hello"]"#]);
        check("include_stop_str_in_output", &["false"], &["true"]);
        check("skip_special_tokens", &["true"], &["false"]);
        check("continue_final_message", &["false"], &["true"]);
        check("add_generation_prompt", &["true"], &["false"]);
        check("chat_template", &["null"], &[r#""{{ 'x' }}""#]);
        check("chat_template_kwargs", &["{}", r#"{"thinking": true}"#], &[r#"{"x": 1}"#, "7"]);
        check("truncate_prompt_tokens", &["-1"], &["1"]);
        check("mirostat", &["0"], &["2"]);
        check("typical_p", &["1.0"], &["0.5"]);
        check("top_n_sigma", &["-1.0"], &["1.5"]);
        check("verbosity", &[r#""medium""#], &[r#""low""#]);
        check("system", &[r#""""#], &[r#""be kind""#]);
        check("options", &["{}"], &[r#"{"temperature": 1}"#]);
    }

    #[test]
    fn harmless_parameters_are_accepted_without_a_word() {
        let body = r#"{"store": true, "user": "u", "metadata": {"a": 1}, "keep_alive": "5m"}"#;
        assert_eq!(refuse(&mut fields(body), Form::Chat), Ok(()));
        assert!(warnings(&fields(body)).is_empty());
    }

    #[test]
    fn unknown_parameters_are_warned_of_with_the_nearest_name() {
        let said = |body| warnings(&fields(body));
        assert_eq!(
            said(r#"{"temprature": 1}"#),
            ["'temprature' is unknown and ignored; is 'temperature' meant?"]
        );
        assert_eq!(said(r#"{"xyzzy": [[1]]}"#), ["'xyzzy' is unknown and ignored"]);
        let many: String = (0..99).map(|i| format!("\"q\\n{i}\": 1,")).collect();
        let warned = said(&format!("{{{many} \"temperature\": 1}}"));
        assert!(warned.len() < 10 && warned.iter().all(|text| !text.contains('\n')), "{warned:?}");
    }
}
