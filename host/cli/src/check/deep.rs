//! `check --deep`: every expert is hashed, loaded and made to speak, one after the other, so that the
//! memory of one is free before the next begins. One that fails stops none of the others.

use std::io;

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use signalbox_engine::{EngineError, ExpertSettings, FleetSettings, Proof, prove};

use super::hash::{Files, Hashes};
use crate::{
    runtime,
    term::{Progress, Spinner, say, say_table, short, short_revision, table},
};

/// Characters of the generated text that the table shows.
const SHOWN: usize = 32;

/// One expert, tried.
pub(super) struct Proven {
    id: String,
    hashes: io::Result<Hashes>,
    proof: Result<Proof, EngineError>,
}

/// Tries every expert.
///
/// # Errors
/// No threads; what is wrong with an expert is in its own entry.
pub(super) fn prove_all(fleet: &FleetSettings) -> Result<Vec<Proven>> {
    let hashes = hash_all(&fleet.experts);
    let threads = runtime::start().context("no threads can be started")?;
    let proven = fleet.experts.iter().zip(hashes).enumerate().map(|(at, (expert, hashes))| {
        let (id, count) = (expert.id.clone(), fleet.experts.len());
        let trying = Spinner::start(format!("trying {id}, {} of {count}", at + 1));
        let proof = threads.block_on(prove(expert, fleet.memory_bytes_max));
        drop(trying);
        Proven { id, hashes, proof }
    });
    Ok(proven.collect())
}

fn hash_all(experts: &[ExpertSettings]) -> Vec<io::Result<Hashes>> {
    let files: Vec<_> = experts.iter().map(|expert| Files::of(&expert.path)).collect();
    let bytes = files.iter().flatten().map(Files::bytes).sum();
    let progress = Progress::bytes(bytes, "hashing");
    let hash = |(expert, files): (&ExpertSettings, io::Result<Files>)| {
        progress.tell(format!("hashing {}", expert.id));
        files?.hash(&mut |more| progress.add(more))
    };
    experts.iter().zip(files).map(hash).collect()
}

impl Proven {
    /// What is wrong, with the mend.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.proof, &self.hashes) {
            (Err(EngineError::Unloadable { problem, .. }), _) => Some(problem.clone()),
            (Err(error), _) => Some(error.to_string()),
            (_, Err(error)) => Some(format!("its files can't be read: {error}; check permissions")),
            _ => None,
        }
    }

    pub(super) fn as_json(&self) -> Value {
        let hashes = self.hashes.as_ref().ok();
        let proof = self.proof.as_ref().ok();
        let file = |(name, hash): &(String, String)| json!({ "name": name, "sha256": hash });
        json!({
            "ok": self.problem().is_none(),
            "problem": self.problem(),
            "sha256": hashes.map(|hashes| &hashes.whole),
            "bytes": hashes.map(|hashes| hashes.bytes),
            "files": hashes.map(|hashes| hashes.files.iter().map(file).collect::<Vec<_>>()),
            "load_s": proof.map(|proof| proof.load.as_secs_f64()),
            "template": proof.map(|proof| if proof.chat { "rendered" } else { "none" }),
            "tokens": proof.map(|proof| proof.tokens),
            "text": proof.map(|proof| &proof.text),
            "tokens_per_second": proof.and_then(|proof| proof.tokens_per_second),
        })
    }

    fn row(&self) -> Vec<String> {
        let absent = || "-".to_owned();
        let hashes = self.hashes.as_ref().ok();
        let proof = self.proof.as_ref().ok();
        vec![
            self.id.clone(),
            hashes.map_or_else(absent, |hashes| hashes.files.len().to_string()),
            hashes.map_or_else(absent, |hashes| HumanBytes(hashes.bytes).to_string()),
            hashes.map_or_else(absent, |hashes| short_revision(&hashes.whole).to_owned()),
            proof.map_or_else(absent, |proof| format!("{:.2} s", proof.load.as_secs_f64())),
            proof.map_or_else(absent, |p| if p.chat { "rendered" } else { "none" }.to_owned()),
            proof.map_or_else(absent, |proof| format!("\"{}\"", short(&proof.text, SHOWN))),
            proof
                .and_then(|proof| proof.tokens_per_second)
                .map_or_else(absent, |speed| format!("{speed:.1}")),
            if self.problem().is_none() { "✓" } else { "✗ fails" }.to_owned(),
        ]
    }
}

/// The verdicts as a table, and below it what is wrong.
pub(super) fn say_all(proven: &[Proven]) {
    let heads = [
        "expert", "files", "size", "sha256", "load", "template", "8 tokens", "tokens/s", "verdict",
    ];
    let mut lines = table(&heads);
    lines.add_rows(proven.iter().map(Proven::row));
    say_table(&lines);
    for expert in proven {
        if let Some(problem) = expert.problem() {
            say!("  ✗ {}: {problem}", expert.id);
        }
    }
}
