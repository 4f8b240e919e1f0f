//! Every golden checkpoint against the logits that transformers recorded for it: see tests/golden.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use signalbox_engine::{Agreement, Image, ImageLimits, Scorer, Scoring};

/// `expected.json`: token ids, pictures beside it, and one row of logits for each id.
#[derive(Deserialize)]
struct Expected {
    ids: Vec<u32>,
    #[serde(default)]
    images: Vec<String>,
    logits: Vec<Vec<f32>>,
}

struct Case {
    name: String,
    folder: PathBuf,
    expected: Expected,
}

const EXACT: Scoring = Scoring { exact: true, threads: 1, chunk: None };
const SERVING: Scoring = Scoring { exact: false, threads: 1, chunk: None };

impl Case {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read(folder.join("expected.json")).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, folder, expected: serde_json::from_slice(&text).unwrap() }
    }

    /// All cases there are.
    fn all() -> Vec<Self> {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cases");
        let folders = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
        folders.sort();
        assert!(folders.len() >= 5, "only {} goldens are there", folders.len());
        folders.into_iter().map(Self::read).collect()
    }

    fn scorer(&self, how: Scoring) -> Result<Scorer, String> {
        let file = self.folder.join("model.gguf");
        let path = if file.exists() { &file } else { &self.folder };
        Scorer::open(path, how).map_err(|error| error.to_string())
    }

    fn images(&self) -> Vec<Image> {
        let limits = ImageLimits { bytes_max: 1 << 20, pixels_max: 1 << 20 };
        let read = |name: &String| fs::read(self.folder.join(name)).unwrap();
        let images = self.expected.images.iter().map(read);
        images.map(|bytes| Image::decode(&bytes, &limits).unwrap()).collect()
    }

    /// The logits of every position.
    fn logits(&self, how: Scoring) -> Result<Vec<Vec<f32>>, String> {
        let mut logits = Vec::new();
        let mut see = |row: &[f32]| logits.push(row.to_vec());
        let scored = self.scorer(how)?.score(&self.expected.ids, &self.images(), &mut see);
        scored.map(|()| logits).map_err(|error| error.to_string())
    }

    /// Holds the logits against the recorded ones, one row for each id.
    fn agrees(&self, how: Scoring) -> Result<(), String> {
        let (ours, theirs) = (self.logits(how)?, &self.expected.logits);
        assert_eq!(ours.len(), theirs.len(), "{}: positions", self.name);
        let mut agreement = Agreement::default();
        ours.iter().zip(theirs).for_each(|(ours, theirs)| agreement.add(ours, theirs));
        let excess = agreement.excess(how.exact);
        if excess.is_empty() { Ok(()) } else { Err(excess.join("; ")) }
    }
}

/// Runs a check on every case and reports all that fail it.
fn check(what: &str, holds: impl Fn(&Case) -> Result<(), String>) {
    let failed: Vec<String> = Case::all()
        .iter()
        .filter_map(|case| holds(case).err().map(|why| format!("{}: {why}", case.name)))
        .collect();
    assert!(failed.is_empty(), "{what}:\n{}", failed.join("\n"));
}

#[test]
fn the_reference_path_is_exact() {
    check("relative error over 1e-4", |case| case.agrees(EXACT));
}

#[test]
fn the_serving_path_is_faithful() {
    let what = "cosine under 0.999 or top-1 under 99 %";
    check(what, |case| case.agrees(SERVING));
}

#[test]
fn neither_threads_nor_chunks_change_a_bit() {
    check("not the same as in one piece", |case| {
        let whole = case.logits(SERVING)?;
        let threads = [2, 3].map(|threads| Scoring { threads, ..SERVING });
        let chunks = (1..whole.len()).map(|size| Scoring { chunk: Some(size), ..SERVING });
        for how in threads.into_iter().chain(chunks) {
            if case.logits(how)? != whole {
                return Err(format!("{how:?}"));
            }
        }
        Ok(())
    });
}
