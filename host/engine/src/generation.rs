//! What a checkpoint says about generating: the tokens that end a reply, and how to draw the
//! others.

use std::{collections::BTreeSet, ops::RangeInclusive, path::Path};

use serde_json::{Map, Value};
use signalbox_confine::clean;

use crate::{
    Ends, EngineError, Sampling,
    files::{GgufMetadata, Source, side},
    sampler::{Penalties, Rules},
};

/// Used where neither the request nor the checkpoint names a temperature.
const TEMPERATURE_DEFAULT: f32 = 0.7;
/// The hottest temperature a request may ask for.
const TEMPERATURE_MAX: f32 = 2.0;
/// The strongest penalties a request may ask for.
const REPETITION_MAX: f32 = 10.0;
const PENALTY_MAX: f32 = 2.0;
/// Used where neither the request nor the checkpoint names a nucleus.
const TOP_P_DEFAULT: f32 = 0.9;
/// Where a folder declares it.
const FILE: &str = "generation_config.json";
/// End tokens of one key, at most.
const ENDS_MAX: usize = 64;
/// What names the tokens that end a reply.
const END_KEYS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];
/// What transformers would draw tokens by, too, and the values that change nothing.
const UNAPPLIED: &[(&str, &[f64])] = &[
    ("bad_words_ids", &[]),
    ("begin_suppress_tokens", &[]),
    ("epsilon_cutoff", &[0.0]),
    ("eta_cutoff", &[0.0]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
    ("no_repeat_ngram_size", &[0.0]),
    ("num_beams", &[1.0]),
    ("suppress_tokens", &[]),
    ("typical_p", &[1.0]),
];
/// Bytes of an odd value that are shown.
const SHOWN_BYTES: usize = 60;

/// End tokens and sampling defaults of one checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Generation {
    /// Any of these ends a reply. Empty only where the checkpoint names none.
    pub(crate) ends: BTreeSet<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

/// The part of `generation_config.json` that is applied.
#[derive(Debug, Default)]
struct Declared {
    ends: Vec<Value>,
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

impl Declared {
    /// Each value by itself: an odd one takes none of the others with it. Also what is odd.
    fn read(mut values: Map<String, Value>) -> (Self, Vec<String>) {
        let mut odd = Vec::new();
        let mut ends = Vec::new();
        for key in END_KEYS {
            let Some(value) = values.remove(key).filter(|value| !value.is_null()) else { continue };
            if !is_token_ids(&value) {
                odd.push(oddity(key, &value, "a token id or a list of up to 64"));
            }
            ends.push(value);
        }
        let mut take = |key: &str, expected: &str, fits: fn(&Value) -> bool| {
            let value = values.remove(key).filter(|value| !value.is_null())?;
            if !fits(&value) {
                odd.push(oddity(key, &value, expected));
                return None;
            }
            Some(value)
        };
        let do_sample = take("do_sample", "true or false", Value::is_boolean);
        let temperature = take("temperature", "a number from 0 to 100", |v| within(v, 0.0..=100.0));
        let top_p = take("top_p", "a number above 0, and at most 1", |v| within(v, 1e-6..=1.0));
        // vLLM writes -1 for "all".
        let top_k = take("top_k", "a whole number", |v| {
            within(v, -1.0..=1e9) && v.as_f64().is_some_and(|k| k.fract() == 0.0)
        });
        let min_p = take("min_p", "a number from 0 to 1", |v| within(v, 0.0..=1.0));
        let repetition = take("repetition_penalty", "a number above 0, and at most 10", |v| {
            within(v, 1e-6..=f64::from(REPETITION_MAX))
        });
        let number = |value: Option<Value>| value.and_then(|value| value.as_f64());
        let declared = Self {
            ends,
            do_sample: do_sample.and_then(|value| value.as_bool()),
            temperature: number(temperature).map(|t| t as f32),
            top_p: number(top_p).map(|p| p as f32),
            top_k: number(top_k).map(|k| k.max(0.0) as usize),
            min_p: number(min_p).map(|p| p as f32),
            repetition_penalty: number(repetition).map(|r| r as f32),
        };
        (declared, odd)
    }
}

fn within(value: &Value, range: RangeInclusive<f64>) -> bool {
    value.as_f64().is_some_and(|number| range.contains(&number))
}

fn oddity(key: &str, value: &Value, expected: &str) -> String {
    let shown = clean(&value.to_string(), SHOWN_BYTES);
    format!("{FILE}: '{key}' is {shown} where {expected} is needed, and is left out")
}

impl Generation {
    /// Reads what the checkpoint declares; a file that is missing or damaged declares nothing, and
    /// inspection reports the damage.
    pub(crate) fn read(source: &Source) -> Self {
        match source {
            Source::Folder(folder) => Self::from_folder(folder),
            Source::Gguf(_, metadata) => Self::from_gguf(metadata),
        }
    }

    fn from_folder(folder: &Path) -> Self {
        let (declared, _) = Declared::read(side::object_or_empty(&folder.join(FILE)));
        let read = |file: &str| Value::Object(side::object_or_empty(&folder.join(file)));
        let (config, tokenizer) = (read("config.json"), read("tokenizer_config.json"));
        let others = [&config, &config["text_config"], &tokenizer];
        let others = others.into_iter().flat_map(|values| END_KEYS.map(|key| &values[key]));
        let ends = declared.ends.iter().chain(others).flat_map(token_ids).collect();
        let greedy = declared.do_sample == Some(false);
        Self {
            ends,
            temperature: if greedy { Some(0.0) } else { declared.temperature },
            top_p: declared.top_p,
            top_k: declared.top_k,
            min_p: declared.min_p,
            repetition_penalty: declared.repetition_penalty,
        }
    }

    /// Values of a folder's file that can't be applied, in words.
    pub(crate) fn oddities(folder: &Path) -> Vec<String> {
        Declared::read(side::object_or_empty(&folder.join(FILE))).1
    }

    /// What the folder's file says beyond what is applied, in words.
    pub(crate) fn unapplied(folder: &Path) -> Vec<String> {
        let values = side::object_or_empty(&folder.join(FILE));
        let said = |(key, neutral): &(&str, &[f64])| {
            let value = values.get(*key).filter(|value| !value.is_null())?;
            let empty = value.as_array().is_some_and(Vec::is_empty);
            let same = value.as_f64().is_some_and(|number| neutral.contains(&number));
            let shown = clean(&value.to_string(), SHOWN_BYTES);
            (!empty && !same).then(|| format!("{FILE}: '{key}' is {shown}, and is not applied"))
        };
        UNAPPLIED.iter().filter_map(said).collect()
    }

    fn from_gguf(metadata: &GgufMetadata) -> Self {
        let ids = |name: &str| {
            let list = metadata.get_integers(&format!("tokenizer.ggml.{name}_token_ids"));
            let same = metadata.get_integers(&format!("tokenizer.ggml.{name}_token_id"));
            let one = metadata.get_u32(&format!("tokenizer.ggml.{name}_token_id"));
            let many = [list, same].into_iter().flatten().flatten();
            let many = many.filter_map(|id| u32::try_from(*id).ok()).take(ENDS_MAX);
            many.chain(one).collect::<Vec<_>>()
        };
        let ends = ["eos", "eot", "eom", "eog"].into_iter().flat_map(ids).collect();
        Self { ends, ..Self::default() }
    }

    /// The tokens that end a reply, as the request has it.
    pub(crate) fn ends_of(&self, wishes: &Ends) -> BTreeSet<u32> {
        let own = self.ends.iter().filter(|_| !wishes.ignored);
        own.chain(&wishes.tokens).copied().collect()
    }

    /// The request's wishes over the checkpoint's defaults over ours.
    pub(crate) fn rules(&self, wishes: &Sampling) -> Result<Rules, EngineError> {
        check_wishes(wishes)?;
        Ok(Rules {
            temperature: wishes.temperature.or(self.temperature).unwrap_or(TEMPERATURE_DEFAULT),
            top_p: wishes.top_p.or(self.top_p).unwrap_or(TOP_P_DEFAULT),
            top_k: wishes.top_k.map(|k| k as usize).or(self.top_k).unwrap_or(0),
            min_p: wishes.min_p.or(self.min_p).unwrap_or(0.0),
            penalties: Penalties {
                repetition: wishes.repetition_penalty.or(self.repetition_penalty).unwrap_or(1.0),
                frequency: wishes.frequency_penalty.unwrap_or(0.0),
                presence: wishes.presence_penalty.unwrap_or(0.0),
            },
            seed: wishes.seed,
        })
    }
}

fn check_wishes(wishes: &Sampling) -> Result<(), EngineError> {
    let within = |name, value: Option<f32>, low: f32, high: f32| match value {
        Some(value) if !(low..=high).contains(&value) => {
            let message = format!("{name} is {value}; it must lie between {low} and {high}");
            Err(EngineError::InvalidRequest { message })
        }
        _ => Ok(()),
    };
    let above_0 = |name, value: Option<f32>, high: f32| match value {
        Some(value) if !(value > 0.0 && value <= high) => {
            let message = format!("{name} is {value}; it must lie above 0 and not above {high}");
            Err(EngineError::InvalidRequest { message })
        }
        _ => Ok(()),
    };
    within("temperature", wishes.temperature, 0.0, TEMPERATURE_MAX)?;
    above_0("top_p", wishes.top_p, 1.0)?;
    within("min_p", wishes.min_p, 0.0, 1.0)?;
    above_0("repetition_penalty", wishes.repetition_penalty, REPETITION_MAX)?;
    within("frequency_penalty", wishes.frequency_penalty, -PENALTY_MAX, PENALTY_MAX)?;
    within("presence_penalty", wishes.presence_penalty, -PENALTY_MAX, PENALTY_MAX)
}

/// One id or a list of them; anything else is none.
fn token_ids(value: &Value) -> Vec<u32> {
    match value {
        Value::Array(ids) => ids.iter().filter_map(token_id).take(ENDS_MAX).collect(),
        single => token_id(single).into_iter().collect(),
    }
}

/// An id, however its number is written.
fn token_id(value: &Value) -> Option<u32> {
    let whole = value.as_f64().filter(|id| id.fract() == 0.0 && (0.0..4e9).contains(id))?;
    Some(whole as u32)
}

fn is_token_ids(value: &Value) -> bool {
    match value {
        Value::Array(ids) => ids.len() <= ENDS_MAX && ids.iter().all(|id| token_id(id).is_some()),
        single => token_id(single).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is said of one value, beside which the end token is applied.
    fn check_odd(value: &str, expect: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{{\"eos_token_id\": [7], {value}}}");
        fs::write(folder.path().join(FILE), text).unwrap();
        let generation = Generation::read(&Source::Folder(folder.path().into()));
        assert_eq!(generation.ends, BTreeSet::from([7]), "{value}");
        let oddities = Generation::oddities(folder.path());
        match expect {
            None => assert!(oddities.is_empty(), "{value}: {oddities:?}"),
            Some(expect) => assert!(oddities[0].contains(expect), "{value}: {oddities:?}"),
        }
    }

    #[test]
    fn one_odd_value_takes_no_other_with_it() {
        check_odd(r#""temperature": "0.6""#, Some("'temperature' is \"0.6\" where a number"));
        check_odd(r#""top_p": 7"#, Some("'top_p' is 7"));
        check_odd(r#""top_k": 2.5"#, Some("'top_k' is 2.5 where a whole number"));
        check_odd(r#""do_sample": "no""#, Some("'do_sample' is \"no\""));
        check_odd(r#""top_k": -1, "max_time": Infinity"#, None);
        check_odd(r#""top_k": 50.0, "top_p": null"#, None);
        check_odd(r#""temperature": NaN"#, Some("'temperature' is \"NaN\" where a number"));
        check_odd(r#""repetition_penalty": 0"#, Some("'repetition_penalty' is 0 where"));
        check_odd(r#""min_p": 2"#, Some("'min_p' is 2 where a number from 0 to 1"));
        check_odd(r#""eot_token_id": "x""#, Some("'eot_token_id' is \"x\" where a token id"));
    }

    #[test]
    fn what_is_not_applied_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"no_repeat_ngram_size": 3, "num_beams": 1, "suppress_tokens": [],
            "bad_words_ids": [[1]], "typical_p": null}"#;
        fs::write(folder.path().join(FILE), text).unwrap();
        let said = Generation::unapplied(folder.path());
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("'bad_words_ids' is [[1]], and is not applied"), "{said:?}");
        assert!(said[1].contains("'no_repeat_ngram_size' is 3"), "{said:?}");
    }

    fn folder(files: &[(&str, &str)]) -> Generation {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Generation::read(&Source::Folder(folder.path().into()))
    }

    fn rules(generation: &Generation, wishes: Sampling) -> (f32, f32, usize) {
        let rules = generation.rules(&wishes).unwrap();
        (rules.temperature, rules.top_p, rules.top_k)
    }

    #[test]
    fn a_list_of_end_tokens_is_bounded() {
        let ids: Vec<u32> = (0..100_000).collect();
        let text = format!("{{\"eos_token_id\": {ids:?}}}");
        assert_eq!(folder(&[("generation_config.json", &text)]).ends.len(), ENDS_MAX);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        assert!(Generation::oddities(folder.path())[0].contains("a list of up to 64"));
    }

    #[test]
    fn end_tokens_come_from_every_file() {
        let generation = folder(&[
            ("generation_config.json", r#"{"eos_token_id": [1, 106], "do_sample": true}"#),
            ("config.json", r#"{"eos_token_id": 7, "text_config": {"eos_token_id": 8}}"#),
        ]);
        assert_eq!(generation.ends, BTreeSet::from([1, 7, 8, 106]));
        assert!(folder(&[("config.json", "not json")]).ends.is_empty());
    }

    #[test]
    fn requests_win_over_files_and_files_over_defaults() {
        assert_eq!(rules(&folder(&[]), Sampling::default()), (0.7, 0.9, 0));
        let warm = folder(&[("generation_config.json", r#"{"temperature": 0.3, "top_k": 20}"#)]);
        assert_eq!(rules(&warm, Sampling::default()), (0.3, 0.9, 20));
        let greedy =
            folder(&[("generation_config.json", r#"{"do_sample": false, "temperature": 1}"#)]);
        assert_eq!(rules(&greedy, Sampling::default()).0, 0.0);
        let hot = Sampling { temperature: Some(1.5), top_k: Some(3), ..Sampling::default() };
        assert_eq!(rules(&greedy, hot), (1.5, 0.9, 3));
        let text = r#"{"repetition_penalty": 1.1, "min_p": 0.05}"#;
        let weary = folder(&[("generation_config.json", text)]);
        let of = |wishes| weary.rules(&wishes).map(|r| (r.penalties.repetition, r.min_p)).unwrap();
        assert_eq!(of(Sampling::default()), (1.1, 0.05));
        let fresh = Sampling { repetition_penalty: Some(1.0), ..Sampling::default() };
        assert_eq!(of(fresh), (1.0, 0.05));
    }

    #[test]
    fn ends_are_added_to_or_ignored() {
        let generation = folder(&[("config.json", r#"{"eos_token_id": 7}"#)]);
        let ends = |tokens: &[u32], ignored| {
            let wishes = Ends { tokens: tokens.to_vec(), min_tokens: 0, ignored };
            generation.ends_of(&wishes).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(ends(&[], false), [7]);
        assert_eq!(ends(&[9], false), [7, 9]);
        assert_eq!(ends(&[9], true), [9]);
    }

    #[test]
    fn wishes_out_of_bounds_are_refused() {
        let refused = |wishes| folder(&[]).rules(&wishes).is_err();
        for temperature in [-0.1, 2.1, f32::NAN] {
            assert!(refused(Sampling { temperature: Some(temperature), ..Sampling::default() }));
        }
        for top_p in [0.0, 1.1, f32::NAN] {
            assert!(refused(Sampling { top_p: Some(top_p), ..Sampling::default() }));
        }
        for penalty in [-2.1, 2.1, f32::NAN] {
            let of = |frequency, presence| Sampling {
                frequency_penalty: frequency,
                presence_penalty: presence,
                ..Sampling::default()
            };
            assert!(refused(of(Some(penalty), None)) && refused(of(None, Some(penalty))));
        }
        assert!(refused(Sampling { min_p: Some(1.5), ..Sampling::default() }));
        assert!(refused(Sampling { repetition_penalty: Some(0.0), ..Sampling::default() }));
    }
}
