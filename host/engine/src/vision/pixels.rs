//! From a picture to what a tower looks at, as transformers' `Gemma3ImageProcessor` does it: resized,
//! scaled, and its levels normalised channel by channel. There are two of that name. This is the one on
//! Pillow (`Gemma3ImageProcessorPil` in transformers 5, the slow one in transformers 4), which is used
//! where torchvision is not installed, and which Gemma was published with.

use std::path::Path;

use super::resize::resize;
use crate::{
    Image,
    files::{CheckpointError, Config},
    spec::VisionSpec,
};

/// Where transformers 5 keeps the settings, in a section; they come first.
const PROCESSOR: &str = "processor_config.json";
/// Where every version finds them.
const PREPROCESSOR: &str = "preprocessor_config.json";
/// Pillow's number for the one filter that Gemma's pictures are resized with.
const BILINEAR: usize = 2;
const CHANNELS: usize = 3;

/// How pictures are prepared.
#[derive(Debug, Clone)]
pub(crate) struct Preparation {
    /// What a level of a channel becomes.
    levels: [[f32; 256]; CHANNELS],
    /// The checkpoint wants crops of long pictures, too.
    pub(crate) pan_and_scan: bool,
}

impl Preparation {
    /// Reads the settings in a checkpoint's folder; those of Gemma where there are none.
    ///
    /// # Errors
    /// When they are malformed, or ask for what the tower can't take.
    pub(crate) fn read(folder: &Path, spec: &VisionSpec) -> Result<Self, CheckpointError> {
        let config = settings(folder)?;
        let Some(config) = config else { return Ok(Self::new(1.0 / 255.0, [0.5; 3], [0.5; 3])) };
        if let Some(problem) = foreign(&config, spec)? {
            return Err(config.unsupported(problem, "use the processor of Gemma 3"));
        }
        let scale = match config.flag_or("do_rescale", true)? {
            true => config.float_or("rescale_factor", 1e-9..=1.0, 1.0 / 255.0)?,
            false => 1.0,
        };
        let (mean, std) = match config.flag_or("do_normalize", true)? {
            true => (colours(&config, "image_mean", 0.0)?, colours(&config, "image_std", 1e-6)?),
            false => ([0.0; 3], [1.0; 3]),
        };
        let pan_and_scan = config.flag_or("do_pan_and_scan", false)?;
        Ok(Self { pan_and_scan, ..Self::new(scale, mean, std) })
    }

    /// Scaled in double precision, normalised in single, as NumPy does it there.
    fn new(scale: f64, mean: [f32; CHANNELS], std: [f32; CHANNELS]) -> Self {
        let level = |channel: usize, level: usize| {
            ((level as f64 * scale) as f32 - mean[channel]) / std[channel]
        };
        let levels = std::array::from_fn(|channel| std::array::from_fn(|l| level(channel, l)));
        Self { levels, pan_and_scan: false }
    }

    /// The patches of a picture, row by row: `(patches, channels * patch_size * patch_size)`, the order in
    /// which the weights of the tower's convolution lie.
    pub(super) fn patches(&self, image: &Image, spec: &VisionSpec) -> Vec<f32> {
        let (side, patch) = (spec.image_size, spec.patch_size);
        let rgb = resize(image, side, side); // (side, side, channels)
        let count = spec.patches_per_side();
        let mut patches = Vec::with_capacity(count * count * CHANNELS * patch * patch);
        for (down, across) in (0..count).flat_map(|y| (0..count).map(move |x| (y, x))) {
            for (channel, levels) in self.levels.iter().enumerate() {
                for y in down * patch..(down + 1) * patch {
                    let row = &rgb[(y * side + across * patch) * CHANNELS..];
                    let row = row.chunks_exact(CHANNELS).take(patch);
                    patches.extend(row.map(|pixel| levels[usize::from(pixel[channel])]));
                }
            }
        }
        patches
    }
}

/// The settings where transformers looks for them, in its order.
fn settings(folder: &Path) -> Result<Option<Config>, CheckpointError> {
    let read = |name: &str| {
        let file = folder.join(name);
        file.is_file().then(|| Config::read(&file)).transpose()
    };
    let nested = match read(PROCESSOR)? {
        Some(processor) => processor.section("image_processor")?,
        None => None,
    };
    nested.map_or_else(|| read(PREPROCESSOR), |nested| Ok(Some(nested)))
}

/// What another processor than Gemma's would do.
fn foreign(config: &Config, spec: &VisionSpec) -> Result<Option<String>, CheckpointError> {
    let needed = spec.image_size;
    if let Some(size) = config.section("size")? {
        let side = |key| size.count(key, 1..=usize::MAX >> 1);
        let (width, height) = (side("width")?, side("height")?);
        if (width, height) != (needed, needed) {
            let problem =
                format!("pictures are resized to {width}x{height}, but the tower takes {needed}");
            return Ok(Some(problem));
        }
    }
    let filter = config.count_opt("resample", 0..=16)?.unwrap_or(BILINEAR);
    if filter != BILINEAR {
        return Ok(Some(format!("the resize filter {filter} is not bilinear ({BILINEAR})")));
    }
    let resized = config.flag_or("do_resize", true)?;
    Ok((!resized).then(|| format!("pictures are not resized, but the tower takes {needed}")))
}

/// A number for each channel.
fn colours(config: &Config, key: &str, least: f64) -> Result<[f32; CHANNELS], CheckpointError> {
    const MOST: f64 = 1e6;
    if config.value(key).is_none() {
        return Ok([0.5; CHANNELS]);
    }
    let floats = config.floats(key, CHANNELS, least..=MOST)?;
    Ok(std::array::from_fn(|channel| floats[channel]))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SPEC: VisionSpec = VisionSpec {
        image_size: 5,
        patch_size: 2,
        hidden: 4,
        intermediate: 4,
        layers: 1,
        heads: 1,
        eps: 1e-6,
        tokens_per_side: 1,
        placeholder: 0,
    };

    fn read(files: &[(&str, &str)]) -> Result<Preparation, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Preparation::read(folder.path(), &SPEC).map_err(|error| error.to_string())
    }

    #[test]
    fn patches_are_taken_row_by_row_and_channel_by_channel() {
        let rgb = (0..5 * 5 * 3).collect();
        let patches = read(&[]).unwrap().patches(&Image::raw(5, 5, rgb), &SPEC);
        let levels: Vec<f32> = patches.iter().map(|x| ((x + 1.0) * 127.5).round()).collect();
        assert_eq!(levels.len(), 4 * 12);
        let first = [0, 3, 15, 18, 1, 4, 16, 19, 2, 5, 17, 20].map(|level| level as f32);
        assert_eq!(levels[..12], first);
        assert_eq!(levels[12..16], [6.0, 9.0, 21.0, 24.0], "to the right of it");
        assert_eq!(levels[24..28], [30.0, 33.0, 45.0, 48.0], "below it");
    }

    #[test]
    fn settings_come_from_the_newest_place() {
        let level = |files: &[(&str, &str)]| read(files).unwrap().levels[2][255];
        let plain = (PREPROCESSOR, r#"{"image_mean": [0, 0, 0.25], "image_std": [1, 1, 0.5]}"#);
        assert_eq!(level(&[]), 1.0);
        assert_eq!(level(&[plain]), 1.5);
        let nested = r#"{"image_processor": {"do_normalize": false, "do_rescale": false}}"#;
        assert_eq!(level(&[plain, (PROCESSOR, nested)]), 255.0);
        assert_eq!(level(&[plain, (PROCESSOR, r#"{"image_seq_length": 4}"#)]), 1.5);
    }

    #[test]
    fn what_the_tower_can_t_take_is_refused_by_name() {
        let refused = |text: &str, expect: &str| {
            let error = read(&[(PREPROCESSOR, text)]).unwrap_err();
            assert!(error.contains(expect) && error.contains(PREPROCESSOR), "{error}");
        };
        refused(r#"{"size": {"width": 5, "height": 6}}"#, "resized to 5x6");
        refused(r#"{"size": {"shortest_edge": 5}}"#, "'size.width' is missing");
        refused(r#"{"resample": 3}"#, "filter 3 is not bilinear");
        refused(r#"{"do_resize": false}"#, "not resized");
        refused(r#"{"image_std": [1, 1, 0]}"#, "'image_std' is [1,1,0]");
        refused(r#"{"rescale_factor": -1}"#, "'rescale_factor' is -1");
        assert!(read(&[(PREPROCESSOR, r#"{"do_pan_and_scan": true}"#)]).unwrap().pan_and_scan);
    }
}
