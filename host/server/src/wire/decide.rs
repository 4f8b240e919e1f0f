//! `POST /v1/decisions` in OpenAI's words and `POST /v1/systemone` in those of vLLM and others: typed questions about a text,
//! answered with probabilities.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Word, responses::ResponseUsage};

/// `POST /v1/decisions`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct DecisionsRequest {
    /// An expert's id, or `auto`, or nothing: then the router decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the questions are about: a string, or messages of the user's.
    pub input: Value,
    /// What is asked.
    pub questions: Vec<Question>,
    /// What clients of OpenAI send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A question of `/v1/decisions`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Question {
    /// Whether something holds.
    Predicate {
        /// Names its answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What may hold.
        instructions: String,
    },
    /// Which of several it is.
    Choice {
        /// Names its answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What is to be chosen.
        instructions: String,
        /// What there is to choose.
        choices: Vec<Choice>,
    },
    /// How much it is.
    Score {
        /// Names its answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What is to be measured.
        instructions: String,
        /// From the least to the most.
        levels: Vec<Level>,
    },
}

/// What may be chosen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// A string or a boolean.
    pub value: Value,
    /// When it is the one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A level of a score.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Level {
    /// Its name.
    pub label: String,
    /// When it is the one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Answers in the order of the questions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DecisionsAnswer {
    /// Who answered.
    pub model: String,
    /// One for each question.
    pub answers: Vec<Answer>,
    /// What all of them cost. Nothing is generated.
    pub usage: ResponseUsage,
}

/// The answer to a question of `/v1/decisions`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Answer {
    /// Whether it holds.
    Predicate {
        /// The question's name.
        name: Option<String>,
        /// That it holds.
        probability: f64,
    },
    /// Which it is.
    Choice {
        /// The question's name.
        name: Option<String>,
        /// The likeliest.
        choice: Value,
        /// Of every choice; 1 together.
        probabilities: Vec<ChoiceProbability>,
        /// 1 where one choice has it all, 0 where all are alike.
        confidence: f64,
    },
    /// How much it is.
    Score {
        /// The question's name.
        name: Option<String>,
        /// The expected level, counted from 0.
        score: f64,
        /// Of every level; 1 together.
        probabilities: Vec<LevelProbability>,
        /// 1 where one level has it all, 0 where all are alike.
        confidence: f64,
    },
    /// A policy took the question away.
    Refusal {
        /// The question's name.
        name: Option<String>,
    },
}

/// How likely a choice is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChoiceProbability {
    /// The choice.
    pub value: Value,
    /// 0 to 1.
    pub probability: f64,
}

/// How likely a level is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LevelProbability {
    /// The level, counted from 0.
    pub value: usize,
    /// Its name.
    pub label: String,
    /// 0 to 1.
    pub probability: f64,
}

/// `POST /v1/systemone`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SystemOneRequest {
    /// An expert's id, or `auto`, or nothing: then the router decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the questions are about: a string, or JSON that is read as its text.
    pub state: Value,
    /// What stands before the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Value>,
    /// What is asked, each by a name of the client's.
    pub questions: BTreeMap<String, SystemOneQuestion>,
    /// What clients of other servers send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A question of `/v1/systemone`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SystemOneQuestion {
    /// `noul` (yes or no), `choice` or `score`.
    #[serde(rename = "type")]
    pub kind: Word,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Value>,
    /// Of a `noul` an object of `true` and `false`, of a `choice` an object of options, each with a description or null, of a `score`
    /// a list of levels, the least first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Value>,
}

/// Answers by the names of the questions. There are none where a policy answered instead.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SystemOneAnswer {
    /// Of this exchange.
    pub id: String,
    /// `structured_decision`.
    pub object: Word,
    /// Seconds since 1970.
    pub created: u64,
    /// Who answered.
    pub model: String,
    /// `noul`; or `choice`, `probabilities` and `confidence`; or `score`, `legend`, `probabilities` and `confidence`.
    pub answers: Map<String, Value>,
    /// What all of them cost.
    pub usage: SystemOneUsage,
    /// Of each answer `label_mass`: how likely it is that a reply would begin with any of its labels. Where that is little, the
    /// expert was about to say something else.
    pub diagnostics: Map<String, Value>,
}

/// Tokens counted, never estimated.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct SystemOneUsage {
    /// Of all prompts, those from the cache included.
    pub input_tokens: u32,
    /// Always 0: nothing is generated.
    pub output_tokens: u32,
}
