//! What `config.json` says of a SigLIP vision tower and of the projector behind it.

use super::{
    Activation,
    bounds::{HEADS_MAX, HIDDEN_MAX, INTERMEDIATE_MAX, LAYERS_MAX},
};
use crate::files::{CheckpointError, Config};

/// The longest side of what a tower looks at; the published ones take 896 pixels.
const SIDE_MAX: usize = 4096;
/// Soft tokens of the published Gemmas.
const TOKENS: usize = 256;
const TOKENS_MAX: usize = 1 << 14;
/// The placeholder's id in the published Gemmas.
const PLACEHOLDER: usize = 262_144;

/// What `SiglipVisionConfig` takes for keys that are left out.
const DEFAULTS: &[(&str, usize)] = &[
    ("hidden_size", 768),
    ("intermediate_size", 3072),
    ("num_hidden_layers", 12),
    ("num_attention_heads", 12),
    ("num_channels", 3),
    ("image_size", 224),
    ("patch_size", 16),
];

/// A vision tower, and how its patches become soft tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VisionSpec {
    /// Pixels of a picture, across and down.
    pub(crate) image_size: usize,
    /// Pixels of a patch, across and down.
    pub(crate) patch_size: usize,
    /// Width of the residual stream.
    pub(crate) hidden: usize,
    /// Width inside the feed-forward block.
    pub(crate) intermediate: usize,
    /// How many layers.
    pub(crate) layers: usize,
    /// Heads of attention; each has its own keys and values.
    pub(crate) heads: usize,
    /// Added to variances.
    pub(crate) eps: f32,
    /// Soft tokens of a picture, across and down.
    pub(crate) tokens_per_side: usize,
    /// The token that stands where soft tokens will be.
    pub(crate) placeholder: u32,
}

impl VisionSpec {
    /// Reads the tower of a multimodal configuration whose language model knows `vocab` tokens;
    /// `None` where it has none.
    pub(super) fn read(config: &Config, vocab: u32) -> Result<Option<Self>, CheckpointError> {
        let Some(tower) = config.section("vision_config")? else { return Ok(None) };
        let tower = tower.with_defaults(DEFAULTS);
        let kind = tower.text_opt("model_type")?.unwrap_or("siglip_vision_model");
        if kind != "siglip_vision_model" || tower.count("num_channels", 1..=16)? != 3 {
            let problem = format!("the vision tower '{kind}' is not SigLIP over three colours");
            return Err(config.unsupported(problem, "use a checkpoint of Gemma 3"));
        }
        Activation::read(&tower, "hidden_act", "gelu_pytorch_tanh")?;
        let tokens = config.count_opt("mm_tokens_per_image", 1..=TOKENS_MAX)?.unwrap_or(TOKENS);
        let placeholder = config.count_opt("image_token_index", 0..=u32::MAX as usize)?;
        let spec = Self {
            image_size: tower.count("image_size", 1..=SIDE_MAX)?,
            patch_size: tower.count("patch_size", 1..=SIDE_MAX)?,
            hidden: tower.count("hidden_size", 1..=HIDDEN_MAX)?,
            intermediate: tower.count("intermediate_size", 1..=INTERMEDIATE_MAX)?,
            layers: tower.count("num_hidden_layers", 1..=LAYERS_MAX)?,
            heads: tower.count("num_attention_heads", 1..=HEADS_MAX)?,
            eps: tower.float_or("layer_norm_eps", 0.0..=1.0, 1e-6)? as f32,
            tokens_per_side: tokens.isqrt(),
            placeholder: placeholder.unwrap_or(PLACEHOLDER) as u32,
        };
        spec.misfit(tokens, vocab).map_or(Ok(Some(spec)), |problem| {
            Err(config.unsupported(problem, "fetch config.json again"))
        })
    }

    /// Numbers that are in range one by one and can't be together.
    fn misfit(&self, tokens: usize, vocab: u32) -> Option<String> {
        let (patches, side) = (self.patches_per_side(), self.tokens_per_side);
        if !self.hidden.is_multiple_of(self.heads) {
            return Some(format!("{} heads do not divide {}", self.heads, self.hidden));
        }
        if patches == 0 || side * side != tokens || !patches.is_multiple_of(side) {
            let problem = format!("{patches} x {patches} patches do not pool to {tokens} tokens");
            return Some(problem);
        }
        let beyond = self.placeholder >= vocab;
        beyond.then(|| format!("image_token_index is {} of {vocab} tokens", self.placeholder))
    }

    /// Patches of a picture, across and down. What is left at the edges is not looked at.
    pub(crate) fn patches_per_side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Soft tokens of a picture.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens_per_side * self.tokens_per_side
    }
}
