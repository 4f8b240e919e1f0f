//! The vision tower of a checkpoint: found under either of its names, held against the shapes that the
//! configuration asks for, and read. Apart from the decoder's plan, for a tower is never packed.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use signalbox_kernels::Format;

use super::load::Loader;
use crate::{
    files::{Catalogue, CheckpointError, Element, Entry, Kind, malformed},
    spec::VisionSpec,
    vision::{Affine, Preparation, TowerLayer, TowerWeights, Vision},
};

/// What stands before the names of the tower, newest first.
const TOWERS: [&str; 4] = [
    "model.vision_tower.",
    "model.vision_tower.vision_model.",
    "vision_tower.vision_model.",
    "vision_tower.",
];
/// What stands before the names of the projector.
const PROJECTORS: [&str; 2] = ["model.multi_modal_projector.", "multi_modal_projector."];
const PATCH: &str = "embeddings.patch_embedding";
const PROJECTION: &str = "mm_input_projection_weight";
const CHANNELS: usize = 3;

type Result<T> = std::result::Result<T, CheckpointError>;

/// A tower that is all there.
pub(super) struct TowerPlan {
    spec: VisionSpec,
    preparation: Preparation,
    names: TowerNames,
    /// Width of the language model.
    hidden: usize,
    /// What its tensors will take.
    pub(super) bytes: u64,
}

struct TowerNames {
    tower: &'static str,
    projector: &'static str,
}

/// One tensor: its name in the file and its shape.
type Wanted<'a> = (String, &'a [usize]);

impl TowerPlan {
    /// Finds the tower of a folder and checks it. `None` where the files hold nothing of one: the
    /// language model is served without.
    pub(super) fn make(
        folder: &Path,
        spec: &VisionSpec,
        hidden: usize,
        catalogue: &Catalogue,
    ) -> Result<Option<Self>> {
        let Some(names) = TowerNames::of(catalogue) else { return Ok(None) };
        let mut bytes = 0;
        let mut count = |(name, shape): Wanted<'_>| {
            let (entry, _) = find(catalogue, &name, shape)?;
            bytes += entry.bytes as u64;
            Ok(())
        };
        names.weights(spec, hidden, &mut count)?;
        let (spec, preparation) = (spec.clone(), Preparation::read(folder, spec)?);
        Ok(Some(Self { spec, preparation, names, hidden, bytes }))
    }

    /// The checkpoint asks for crops of long pictures, which are not made.
    pub(super) fn wants_crops(&self) -> bool {
        self.preparation.pan_and_scan
    }

    /// Reads the tensors as they are.
    pub(super) fn load(&self, catalogue: &Catalogue, loader: Loader<'_>) -> Result<Vision> {
        let mut read = |(name, shape): Wanted<'_>| {
            let (entry, dtype) = find(catalogue, &name, shape)?;
            let bytes = loader.finite(entry, &name)?;
            let tensor = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu);
            tensor.map_err(|error| {
                malformed(catalogue.file(entry), format!("tensor '{name}': {error}"))
            })
        };
        let weights = self.names.weights(&self.spec, self.hidden, &mut read)?;
        Ok(Vision::new(self.spec.clone(), self.preparation.clone(), weights))
    }
}

impl TowerNames {
    /// How a checkpoint names its tower, if there is anything of it.
    fn of(catalogue: &Catalogue) -> Option<Self> {
        let tower = TOWERS.into_iter().find(|of| catalogue.has(&format!("{of}{PATCH}.weight")));
        let projector =
            PROJECTORS.into_iter().find(|of| catalogue.has(&format!("{of}{PROJECTION}")));
        match (tower, projector) {
            (None, None) => None,
            (tower, projector) => Some(Self {
                tower: tower.unwrap_or(TOWERS[0]),
                projector: projector.unwrap_or(PROJECTORS[0]),
            }),
        }
    }

    /// Every tensor of the tower and of the projector, turned by `take`.
    fn weights<T>(
        &self,
        spec: &VisionSpec,
        hidden: usize,
        take: &mut dyn FnMut(Wanted<'_>) -> Result<T>,
    ) -> Result<TowerWeights<T>> {
        let (width, patch) = (spec.hidden, spec.patch_size);
        let patches = spec.patches_per_side() * spec.patches_per_side();
        let tower = |name: &str| format!("{}{name}", self.tower);
        let projector = |name: &str| format!("{}{name}", self.projector);
        Ok(TowerWeights {
            patch: affine(take, &tower(PATCH), &[width, CHANNELS, patch, patch])?,
            positions: take((tower("embeddings.position_embedding.weight"), &[patches, width]))?,
            layers: (0..spec.layers)
                .map(|index| layer(take, &tower(&format!("encoder.layers.{index}")), spec))
                .collect::<Result<_>>()?,
            final_norm: affine(take, &tower("post_layernorm"), &[width])?,
            soft_norm: take((projector("mm_soft_emb_norm.weight"), &[width]))?,
            projection: take((projector(PROJECTION), &[width, hidden]))?,
        })
    }
}

fn layer<T>(
    take: &mut dyn FnMut(Wanted<'_>) -> Result<T>,
    layer: &str,
    spec: &VisionSpec,
) -> Result<TowerLayer<T>> {
    let (width, wide) = (spec.hidden, spec.intermediate);
    let mut take = |name: &str, shape: &[usize]| affine(take, &format!("{layer}.{name}"), shape);
    Ok(TowerLayer {
        attention_norm: take("layer_norm1", &[width])?,
        query: take("self_attn.q_proj", &[width, width])?,
        key: take("self_attn.k_proj", &[width, width])?,
        value: take("self_attn.v_proj", &[width, width])?,
        output: take("self_attn.out_proj", &[width, width])?,
        feed_forward_norm: take("layer_norm2", &[width])?,
        up: take("mlp.fc1", &[wide, width])?,
        down: take("mlp.fc2", &[width, wide])?,
    })
}

fn affine<T>(
    take: &mut dyn FnMut(Wanted<'_>) -> Result<T>,
    name: &str,
    shape: &[usize],
) -> Result<Affine<T>> {
    let weight = take((format!("{name}.weight"), shape))?;
    Ok(Affine { weight, bias: take((format!("{name}.bias"), &shape[..1]))? })
}

/// A tensor that is there, of this shape, and of plain numbers.
fn find<'a>(catalogue: &'a Catalogue, name: &str, shape: &[usize]) -> Result<(&'a Entry, DType)> {
    let Some(entry) = catalogue.tensors.get(name) else {
        let file = catalogue.first_file();
        let problem = format!("tensor '{name}' is missing, though others of the tower are there");
        let mend = "fetch the checkpoint again";
        return Err(CheckpointError::new(Kind::Missing, file, problem, mend));
    };
    let file = catalogue.file(entry);
    if entry.shape != shape {
        let found = &entry.shape;
        let problem =
            format!("tensor '{name}' has the shape {found:?} where the tower needs {shape:?}");
        return Err(malformed(file, problem));
    }
    let dtype = match entry.element {
        Element::Numbers(Format::F32) => DType::F32,
        Element::Numbers(Format::F16) => DType::F16,
        Element::Numbers(Format::Bf16) => DType::BF16,
        _ => {
            let problem = format!("tensor '{name}' holds {}, but towers are plain", entry.element);
            let mend = "use a checkpoint whose vision tower is bf16, f16 or f32";
            return Err(CheckpointError::new(Kind::Unsupported, file, problem, mend));
        }
    };
    Ok((entry, dtype))
}
