//! The bridge to the vector store: one call makes a vector of a question, one finds what lies near it. Bridges wrap their answers in
//! many ways, so what is looked for in them is a list of numbers, and texts.

use std::time::Instant;

use serde_json::{Value, json};
use signalbox_sdk::{config, http};

use crate::intent::Intent;

/// Used where the operator sets no `bridge-url`.
const URL: &str = "http://localhost:8001";
/// Used where the operator sets no `collection`.
const COLLECTION: &str = "capibara_docs";
/// Used where the operator sets no `output-fields`; the first that a passage has is its text.
const FIELDS: &str = "text,content";
/// Lists of the index that are looked through.
const NPROBE: u32 = 16;

/// Where the bridge is, and what it is asked for.
pub(crate) struct Bridge {
    url: String,
    collection: String,
    fields: Vec<String>,
}

impl Bridge {
    /// The one that the operator has set.
    pub(crate) fn configured() -> Self {
        let fields = config::get("output-fields").unwrap_or_else(|| FIELDS.to_owned());
        let url = config::get("bridge-url").unwrap_or_else(|| URL.to_owned());
        Self {
            url: url.trim_end_matches('/').to_owned(),
            collection: config::get("collection").unwrap_or_else(|| COLLECTION.to_owned()),
            fields: fields.split(',').map(|field| field.trim().to_owned()).collect(),
        }
    }

    /// What lies near a question, the nearest first, or why nobody knows.
    pub(crate) fn passages(
        &self,
        question: String,
        intent: Intent,
        until: Instant,
    ) -> Result<Vec<String>, String> {
        let made = self.ask("/api/v1/embeddings", &json!({ "text": question }), until)?;
        let vector = vector(&made).ok_or("the bridge made no vector of the question")?;
        let search = json!({
            "collection_name": self.collection,
            "vector": vector,
            "top_k": intent.passages(),
            "nprobe": NPROBE,
            "output_fields": self.fields,
        });
        let found = self.ask("/api/v1/milvus/search", &search, until)?;
        let mut passages = Vec::new();
        self.collect(&found, &mut passages);
        passages.truncate(intent.passages() as usize);
        Ok(passages)
    }

    fn ask(&self, path: &str, body: &Value, until: Instant) -> Result<Value, String> {
        let request = http::Request::post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_string());
        let left = until.saturating_duration_since(Instant::now());
        let answer = request.send(left).map_err(|error| error.to_string())?;
        if answer.status() != 200 {
            return Err(format!("the bridge answers {} to {path}", answer.status()));
        }
        serde_json::from_slice(answer.body())
            .map_err(|_| format!("the bridge's answer to {path} is no JSON"))
    }

    /// The texts in an answer: of each object the first field that is asked for and has one.
    fn collect(&self, found: &Value, passages: &mut Vec<String>) {
        let text = |of: &Value| {
            let mut texts = self.fields.iter().filter_map(|field| of.get(field)?.as_str());
            texts.find(|text| !text.trim().is_empty()).map(str::to_owned)
        };
        match (text(found), found) {
            (Some(text), _) => passages.push(text),
            (None, Value::Array(list)) => list.iter().for_each(|of| self.collect(of, passages)),
            (None, Value::Object(of)) => of.values().for_each(|of| self.collect(of, passages)),
            _ => {}
        }
    }
}

/// The first list of numbers in an answer.
fn vector(made: &Value) -> Option<&Value> {
    match made {
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_number) => Some(made),
        Value::Array(list) => list.iter().find_map(vector),
        Value::Object(of) => of.values().find_map(vector),
        _ => None,
    }
}
