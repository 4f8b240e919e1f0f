//! How the vectors of a text's tokens become one, and how long a text may be: what sentence-transformers writes beside
//! a checkpoint. Every step that it lists and that is not done here is refused by its name.

use std::path::{Component, Path};

use serde_json::{Map, Value};

use crate::files::{CheckpointError, Kind, malformed, side};

/// The steps of a checkpoint, in order.
const MODULES: &str = "modules.json";
/// Where the longest text stands, newest first.
const LENGTHS: [(&str, &str); 2] = [
    ("sentence_bert_config.json", "max_seq_length"),
    ("tokenizer_config.json", "model_max_length"),
];
const MEND: &str = "use an encoder that pools by the mean of its tokens or by its first one";

/// How vectors of tokens become one of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first token.
    First,
}

/// What is said beside the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sentences {
    pub(crate) pooling: Pooling,
    /// The pooling is written down, not assumed.
    pub(crate) declared: bool,
    /// Longest text in tokens.
    pub(crate) longest: Option<u32>,
}

type Result<T> = std::result::Result<T, CheckpointError>;

impl Sentences {
    /// Reads what a folder says; without a word, tokens are averaged, as sentence-transformers does it.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let longest = longest(folder);
        let (mut pooling, mut transformer) = (None, "");
        let Some(modules) = side::list(&folder.join(MODULES))? else {
            return Ok(Self { pooling: Pooling::Mean, declared: false, longest });
        };
        for module in &modules {
            let text = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("type").rsplit('.').next().unwrap_or_default() {
                "Transformer" => transformer = text("path"),
                "Pooling" => pooling = Some(read_pooling(folder, text("path"))?),
                "Normalize" => {} // vectors have the length one anyway
                other => {
                    let problem = format!("lists the step '{other}', which is not supported");
                    return Err(unsupported(&folder.join(MODULES), problem, MEND));
                }
            }
        }
        if !transformer.is_empty() {
            let problem = format!("has the weights in the folder '{transformer}'");
            let mend = "put its files beside modules.json, and set the path there to \"\"";
            return Err(unsupported(&folder.join(MODULES), problem, mend));
        }
        let declared = pooling.is_some();
        Ok(Self { pooling: pooling.unwrap_or(Pooling::Mean), declared, longest })
    }
}

fn read_pooling(folder: &Path, path: &str) -> Result<Pooling> {
    let modules = folder.join(MODULES);
    let mut parts = Path::new(path).components();
    let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
        return Err(malformed(
            &modules,
            format!("has the pooling in '{path}', which is no folder of it"),
        ));
    };
    let file = folder.join(path).join("config.json");
    let config = side::object(&file)?.ok_or_else(|| {
        CheckpointError::new(Kind::Missing, &file, "is missing", "fetch the checkpoint again")
    })?;
    let modes = modes(&config);
    match modes[..] {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::First),
        _ => {
            let said = if modes.is_empty() { "no mode".to_owned() } else { modes.join(" and ") };
            let problem = format!("pools by {said}, which is not supported");
            Err(unsupported(&file, problem, MEND))
        }
    }
}

/// The modes that are on.
fn modes(config: &Map<String, Value>) -> Vec<&str> {
    let flags = config.iter().filter(|(_, value)| value.as_bool() == Some(true));
    let flags = flags.filter_map(|(key, _)| key.strip_prefix("pooling_mode_"));
    flags.chain(config.get("pooling_mode").and_then(Value::as_str)).collect()
}

fn longest(folder: &Path) -> Option<u32> {
    let said = LENGTHS.into_iter().find_map(|(file, key)| {
        let said = side::object_or_empty(&folder.join(file)).get(key)?.as_u64()?;
        (said > 0).then_some(said)
    });
    // A tokenizer without a bound says 10 to the 30th, which is no u64, or another number of that kind.
    said.and_then(|said| u32::try_from(said).ok())
}

fn unsupported(file: &Path, problem: String, mend: &str) -> CheckpointError {
    CheckpointError::new(Kind::Unsupported, file, problem, mend)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is read of a folder with these steps and this pooling.
    fn read(modules: &str, pooling: &str) -> std::result::Result<Sentences, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        fs::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();
        fs::write(folder.path().join(MODULES), modules).unwrap();
        Sentences::read(folder.path()).map_err(|error| error.to_string())
    }

    const STEPS: &str = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;

    const MEAN: &str = r#"{"pooling_mode_mean_tokens": true}"#;

    #[test]
    fn both_poolings_are_known_in_both_spellings() {
        let check = |config: &str, expect| {
            assert_eq!(read(STEPS, config).unwrap().pooling, expect, "{config}");
        };
        let flags = r#"{"pooling_mode_cls_token": CLS, "pooling_mode_mean_tokens": MEAN}"#;
        check(&flags.replace("CLS", "false").replace("MEAN", "true"), Pooling::Mean);
        check(&flags.replace("CLS", "true").replace("MEAN", "false"), Pooling::First);
        check(r#"{"pooling_mode": "cls"}"#, Pooling::First);
    }

    #[test]
    fn other_steps_are_refused_by_name() {
        let check = |modules: &str, pooling: &str, expect: &str| {
            let problem = read(modules, pooling).unwrap_err();
            assert!(problem.contains(expect), "{problem} instead of {expect}");
        };
        check(STEPS, r#"{"pooling_mode_max_tokens": true}"#, "pools by max_tokens");
        check(
            r#"[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#,
            "{}",
            "'Dense'",
        );
        check(&STEPS.replace("1_Pooling\"", "../1_Pooling\""), "{}", "no folder of it");
        check(&STEPS.replace("1_Pooling\"", "3_Pooling\""), "{}", "is missing");
        check(&STEPS.replace("\"path\": \"\"", "\"path\": \"0_T\""), MEAN, "folder '0_T'");
        check(STEPS, "{}", "pools by no mode");
        check("{}", "{}", "not a list of objects");
    }

    #[test]
    fn a_length_is_the_encoder_s_own_or_the_tokenizer_s() {
        let folder = tempfile::tempdir().unwrap();
        let longest = || Sentences::read(folder.path()).unwrap().longest;
        assert_eq!(longest(), None);
        fs::write(folder.path().join(LENGTHS[1].0), r#"{"model_max_length": 1e30}"#).unwrap();
        assert_eq!(longest(), None);
        fs::write(folder.path().join(LENGTHS[1].0), r#"{"model_max_length": 512}"#).unwrap();
        assert_eq!(longest(), Some(512));
        fs::write(folder.path().join(LENGTHS[0].0), r#"{"max_seq_length": 256}"#).unwrap();
        assert_eq!(longest(), Some(256));
    }
}
