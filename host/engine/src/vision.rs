//! Sight: a picture becomes soft tokens, vectors that stand in a prompt where embeddings would.

mod frame;
mod pixels;
mod places;
mod resize;
mod tower;
mod weights;

use candle_core::Tensor;

pub(crate) use frame::Frame;
pub(crate) use pixels::Preparation;
pub(crate) use places::{Picture, Placed, chunk_end, place};
pub(crate) use weights::{Affine, TowerLayer, TowerWeights};

use crate::spec::VisionSpec;

/// The part of a model that sees.
pub(crate) struct Vision {
    spec: VisionSpec,
    preparation: Preparation,
    weights: TowerWeights<Tensor>,
}

impl Vision {
    /// TowerWeights of the shapes that `spec` asks for.
    pub(crate) fn new(
        spec: VisionSpec,
        preparation: Preparation,
        weights: TowerWeights<Tensor>,
    ) -> Self {
        Self { spec, preparation, weights }
    }

    /// Looks at a picture. The same picture gives the same features, bit for bit, whatever stands
    /// beside it.
    pub(crate) fn see(&self, placed: &Placed) -> candle_core::Result<Picture> {
        let patches = self.preparation.patches(&placed.image, &self.spec);
        let features = tower::soft_tokens(&self.spec, &self.weights, patches)?;
        Ok(Picture { span: placed.span.clone(), features })
    }
}
