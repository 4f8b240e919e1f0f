//! What a checkpoint says about generating: the tokens that end a reply, and how to draw the
//! others.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    EngineError, Sampling,
    checkpoint::{GgufMetadata, Source},
    sampler::Rules,
};

/// Used where neither the request nor the checkpoint names a temperature.
const TEMPERATURE_DEFAULT: f32 = 0.7;
/// The hottest temperature a request may ask for.
const TEMPERATURE_MAX: f32 = 2.0;
/// Used where neither the request nor the checkpoint names a nucleus.
const TOP_P_DEFAULT: f32 = 0.9;
/// A `generation_config.json` or `config.json` beyond this many bytes is not one.
const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// End tokens and sampling defaults of one checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Generation {
    /// Any of these ends a reply. Empty only where the checkpoint names none.
    pub(crate) ends: BTreeSet<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
}

/// The part of `generation_config.json` that is heeded.
#[derive(Debug, Default, Deserialize)]
struct Declared {
    #[serde(default)]
    eos_token_id: Value,
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
}

impl Generation {
    /// Reads what the checkpoint declares; a file that is missing or not JSON declares nothing.
    pub(crate) fn read(source: &Source<'_>) -> Self {
        match source {
            Source::Folder(folder) => Self::from_folder(folder),
            Source::Gguf(metadata) => Self::from_gguf(metadata),
        }
    }

    fn from_folder(folder: &Path) -> Self {
        let declared: Declared = read_json(&folder.join("generation_config.json"));
        let config: Value = read_json(&folder.join("config.json"));
        let ends = [
            &declared.eos_token_id,
            &config["eos_token_id"],
            &config["text_config"]["eos_token_id"],
        ]
        .into_iter()
        .flat_map(token_ids)
        .collect();
        let greedy = declared.do_sample == Some(false);
        Self {
            ends,
            temperature: if greedy { Some(0.0) } else { declared.temperature },
            top_p: declared.top_p,
            top_k: declared.top_k,
        }
    }

    fn from_gguf(metadata: &GgufMetadata) -> Self {
        let ends = ["eos", "eot", "eom"]
            .into_iter()
            .filter_map(|name| metadata.get_u32(&format!("tokenizer.ggml.{name}_token_id")))
            .collect();
        Self { ends, ..Self::default() }
    }

    /// The request's wishes over the checkpoint's defaults over ours.
    pub(crate) fn rules(&self, wishes: &Sampling) -> Result<Rules, EngineError> {
        check_wishes(wishes)?;
        Ok(Rules {
            temperature: wishes.temperature.or(self.temperature).unwrap_or(TEMPERATURE_DEFAULT),
            top_p: wishes.top_p.or(self.top_p).unwrap_or(TOP_P_DEFAULT),
            top_k: wishes.top_k.map(|k| k as usize).or(self.top_k).unwrap_or(0),
            seed: wishes.seed,
        })
    }
}

fn check_wishes(wishes: &Sampling) -> Result<(), EngineError> {
    let refuse = |message: String| Err(EngineError::InvalidRequest { message });
    match (wishes.temperature, wishes.top_p) {
        (Some(t), _) if !(0.0..=TEMPERATURE_MAX).contains(&t) => {
            refuse(format!("temperature is {t}; it must lie between 0 and {TEMPERATURE_MAX}"))
        }
        (_, Some(p)) if !(p > 0.0 && p <= 1.0) => {
            refuse(format!("top_p is {p}; it must lie above 0 and not above 1"))
        }
        _ => Ok(()),
    }
}

/// One id or a list of them; anything else is none.
fn token_ids(value: &Value) -> Vec<u32> {
    let as_id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(ids) => ids.iter().filter_map(as_id).collect(),
        single => as_id(single).into_iter().collect(),
    }
}

/// A JSON file of bounded size; the default for one that is missing, too large or malformed,
/// because each of these files is optional and the ones that matter are judged by inspection.
pub(crate) fn read_json<T: Default + serde::de::DeserializeOwned>(path: &Path) -> T {
    let small = fs::metadata(path).is_ok_and(|file| file.len() <= CONFIG_BYTES_MAX);
    let text = if small { fs::read(path).unwrap_or_default() } else { Vec::new() };
    serde_json::from_slice(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> Generation {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Generation::read(&Source::Folder(folder.path()))
    }

    fn rules(generation: &Generation, wishes: Sampling) -> (f32, f32, usize) {
        let rules = generation.rules(&wishes).unwrap();
        (rules.temperature, rules.top_p, rules.top_k)
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
    }
}
