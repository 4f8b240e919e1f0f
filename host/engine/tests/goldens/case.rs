//! One golden: a small checkpoint and what transformers computed from it. See tests/golden.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use signalbox_engine::{Agreement, Image, ImageLimits, KvCacheDType, Scorer, Scoring};

/// The f32 reference path, in one piece.
pub(crate) const EXACT: Scoring =
    Scoring { exact: true, threads: 1, chunk: None, kv_cache_dtype: KvCacheDType::Auto };
/// What serving runs, in one piece.
pub(crate) const SERVING: Scoring = Scoring { exact: false, ..EXACT };

/// `expected.json`: token ids, pictures beside it, and one row of logits for each id.
#[derive(Deserialize)]
struct Expected {
    ids: Vec<u32>,
    #[serde(default)]
    images: Vec<String>,
    logits: Vec<Vec<f32>>,
}

/// A checkpoint with its reference.
pub(crate) struct Case {
    pub(crate) name: String,
    folder: PathBuf,
    expected: Expected,
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read(folder.join("expected.json")).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, folder, expected: serde_json::from_slice(&text).unwrap() }
    }

    /// All cases there are.
    pub(crate) fn all() -> Vec<Self> {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cases");
        let folders = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
        folders.sort();
        assert!(folders.len() >= 55, "only {} goldens are there", folders.len());
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
    pub(crate) fn logits(&self, how: Scoring) -> Result<Vec<Vec<f32>>, String> {
        let mut logits = Vec::new();
        let mut see = |row: &[f32]| logits.push(row.to_vec());
        let scored = self.scorer(how)?.score(&self.expected.ids, &self.images(), &mut see);
        scored.map(|()| logits).map_err(|error| error.to_string())
    }

    /// The logits beside the recorded ones, one row for each id.
    pub(crate) fn agreement(&self, how: Scoring) -> Result<Agreement, String> {
        let (ours, theirs) = (self.logits(how)?, &self.expected.logits);
        assert_eq!(ours.len(), theirs.len(), "{}: positions", self.name);
        let mut agreement = Agreement::default();
        ours.iter().zip(theirs).for_each(|(ours, theirs)| agreement.add(ours, theirs));
        Ok(agreement)
    }
}
