//! What is scored: ids or text, images, and the reference to compare with.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use signalbox_engine::{Image, ImageLimits};

use crate::args::Eval;

/// A file of the user's own may be larger than a client's, but no decoder is given all memory.
const LIMITS: ImageLimits = ImageLimits { bytes_max: 256 << 20, pixels_max: 1 << 28 };

/// Everything that is read before the checkpoint.
pub(super) struct Input {
    what: What,
    images: Vec<Image>,
    expected: Option<Vec<Vec<f32>>>,
}

enum What {
    Ids(Vec<u32>),
    Text(String),
}

/// A file of ids: a bare list, or a list under `ids`, as `--logits` writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    Bare(Vec<u32>),
    Named { ids: Vec<u32> },
}

/// A reference: what somebody else computed.
#[derive(Deserialize)]
struct Expected {
    ids: Vec<u32>,
    #[serde(default)]
    images: Vec<PathBuf>,
    /// `(positions, vocab)`
    logits: Vec<Vec<f32>>,
}

impl Input {
    pub(super) fn read(args: &Eval) -> Result<Self> {
        let expected: Option<Expected> = args.expect.as_deref().map(read_json).transpose()?;
        let mut images = args.image.clone();
        if let (Some(expected), Some(file)) = (&expected, &args.expect)
            && images.is_empty()
        {
            let folder = file.parent().unwrap_or(Path::new(""));
            images = expected.images.iter().map(|image| folder.join(image)).collect();
        }
        Ok(Self {
            images: images.iter().map(|file| image(file)).collect::<Result<_>>()?,
            what: what(args, expected.as_ref())?,
            expected: expected.map(|expected| expected.logits),
        })
    }

    /// Ids, images and the reference's logits; text is encoded by `encode`.
    #[expect(clippy::type_complexity, reason = "three things that go three ways")]
    pub(super) fn resolve(
        self,
        encode: impl FnOnce(&str) -> Result<Vec<u32>>,
    ) -> Result<(Vec<u32>, Vec<Image>, Option<Vec<Vec<f32>>>)> {
        let ids = match self.what {
            What::Ids(ids) => ids,
            What::Text(text) => encode(&text)?,
        };
        Ok((ids, self.images, self.expected))
    }
}

fn what(args: &Eval, expected: Option<&Expected>) -> Result<What> {
    if let Some(file) = &args.ids_file {
        let (Ids::Bare(ids) | Ids::Named { ids }) = read_json(file)?;
        return Ok(What::Ids(ids));
    }
    if let Some(file) = &args.text_file {
        let text = fs::read_to_string(file);
        return Ok(What::Text(text.with_context(|| format!("{} can't be read", file.display()))?));
    }
    if let Some(text) = &args.text {
        return Ok(What::Text(text.clone()));
    }
    match expected.filter(|_| args.ids.is_empty()) {
        Some(expected) => Ok(What::Ids(expected.ids.clone())),
        None => Ok(What::Ids(args.ids.clone())),
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<T> {
    let open = File::open(file).with_context(|| format!("{} can't be read", file.display()))?;
    serde_json::from_reader(BufReader::new(open))
        .with_context(|| format!("{} is not {{\"ids\": [1, 2, ...], ...}}", file.display()))
}

fn image(file: &Path) -> Result<Image> {
    let size = fs::metadata(file).with_context(|| format!("{} can't be read", file.display()))?;
    let most = LIMITS.bytes_max as u64;
    ensure!(size.len() <= most, "{} has over {most} bytes; make it smaller", file.display());
    let bytes = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    Image::decode(&bytes, &LIMITS).with_context(|| file.display().to_string())
}
