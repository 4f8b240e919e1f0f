//! Checkpoints of random weights in the shapes of the five experts, so that they are measured without
//! their weights. They are written as the real ones are, and go in by the same door.

mod shape;
mod tensor;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
    str::FromStr,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use shape::{SHAPES, Shape};
use tensor::Tensor;

/// The same weights in every run.
const SEED: u64 = 1;

/// A checkpoint to make up: a name, as in `mistral-7b-awq`, and perhaps fewer layers, as in
/// `gemma-3-27b-bf16:4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synthetic {
    shape: Shape,
    layers: usize,
}

/// No such checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no synthetic '{unknown}'; there are {known}, each with :LAYERS behind it for fewer layers"
)]
pub struct SyntheticError {
    unknown: String,
    known: String,
}

impl FromStr for Synthetic {
    type Err = SyntheticError;

    fn from_str(text: &str) -> Result<Self, SyntheticError> {
        let (name, layers) = match text.split_once(':') {
            Some((name, layers)) => (name, Some(layers)),
            None => (text, None),
        };
        let shape = SHAPES.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape);
        let layers = |most| match layers {
            None => Some(most),
            Some(layers) => layers.parse().ok().filter(|layers| (1..=most).contains(layers)),
        };
        shape
            .and_then(|shape| Some(Self { shape, layers: layers(shape.layers)? }))
            .ok_or_else(|| SyntheticError { unknown: text.to_owned(), known: names() })
    }
}

fn names() -> String {
    SHAPES.map(|(name, _)| name).join(", ")
}

impl Synthetic {
    /// Layers that it has, and that the published model has.
    pub fn layers(&self) -> (usize, usize) {
        (self.layers, self.shape.layers)
    }

    /// Writes `config.json` and `model.safetensors` into a folder.
    ///
    /// # Errors
    /// When the folder can't be written to.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("config.json"), self.shape.config(self.layers).to_string())?;
        let tensors = self.shape.tensors(self.layers);
        let mut file = BufWriter::new(File::create(folder.join("model.safetensors"))?);
        file.write_all(&header(&tensors))?;
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        tensors.iter().try_for_each(|tensor| tensor.write(&mut random, &mut file))?;
        file.flush()
    }
}

/// The length and the JSON that a safetensors file begins with.
fn header(tensors: &[Tensor]) -> Vec<u8> {
    let (mut entries, mut offset) = (Map::new(), 0);
    for tensor in tensors {
        let end = offset + tensor.bytes();
        let (dtype, shape) = (tensor.dtype(), &tensor.shape);
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] });
        entries.insert(tensor.name.clone(), entry);
        offset = end;
    }
    let json = Value::Object(entries).to_string();
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend_from_slice(json.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use signalbox_kernels::Compute;
    use tempfile::TempDir;

    use super::*;
    use crate::checkpoint::Checkpoint;

    #[test]
    fn names_are_read_with_layers_or_without() {
        let check = |text: &str, expect: Option<(usize, usize)>| {
            assert_eq!(text.parse().ok().map(|it: Synthetic| it.layers()), expect, "{text}");
        };
        check("mistral-7b-awq", Some((32, 32)));
        check("gemma-3-27b-bf16:4", Some((4, 62)));
        check("gemma-3-27b-bf16:63", None);
        check("gemma-3-27b-bf16:", None);
        check("mixtral", None);
    }

    /// A small one of the same make: a vocabulary of the real size takes gigabytes.
    fn small(shape: Shape, vocab: usize) -> TempDir {
        let shape =
            Shape { hidden: 512, intermediate: 1024, heads: 4, kv_heads: 2, vocab, ..shape };
        let folder = tempfile::tempdir().unwrap();
        Synthetic { shape, layers: 2 }.write(folder.path()).unwrap();
        folder
    }

    #[test]
    fn every_one_is_a_checkpoint_of_its_architecture() {
        for (name, shape) in SHAPES {
            let folder = small(shape, 256);
            let checkpoint = Checkpoint::open(folder.path()).unwrap();
            assert_eq!(checkpoint.stored().is_awq(), shape.awq, "{name}");
            assert!(checkpoint.load(&Compute::serving()).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_large_head_of_packed_linears_is_held_in_8_bits() {
        for (name, shape) in SHAPES {
            let folder = small(shape, 4096);
            let open = || Checkpoint::open(folder.path()).unwrap();
            let (plain, narrow) = (open().weight_bytes(), open().with_narrow_head());
            assert_eq!(narrow.has_narrow_head(), shape.awq, "{name}");
            let [head, narrow_head] = [4096 * 512 * 2, 4096 * 512 / 32 * 34];
            let expect = match (shape.awq, shape.tied) {
                (false, _) => plain,
                (true, true) => plain + narrow_head,
                (true, false) => plain - head + narrow_head,
            };
            assert_eq!(narrow.weight_bytes(), expect, "{name}");
        }
    }
}
