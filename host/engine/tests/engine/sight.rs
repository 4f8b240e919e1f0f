//! Pictures through the engine's public door: who sees, who does not, and what is said about it.

use std::{collections::HashMap, fs, io::Cursor, path::Path};

use candle_core::{Device, Tensor, safetensors};
use serde_json::Value;
use signalbox_engine::{
    EngineError, ExpertSettings, Fleet, Image, ImageLimits, KvCacheDType, Message, Part, Request,
    Scorer, Scoring, Severity, Templates, Usage, inspect,
};
use tempfile::TempDir;

use crate::support::{again, ask, chat, copy, fleet, folder, settings, toy};

const BLIND: &str = "phi4_fast";
const SEES: &str = "gemma3_multimodal";
const TOWER: &str = "vision_tower.vision_model.";

/// Stripes in three colours, encoded and decoded.
fn image(step: u8) -> Image {
    let pixel = |x: u32, y: u32| image::Rgb([(x as u8).wrapping_mul(step), y as u8 * 3, step]);
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(70, 40, pixel);
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    let limits = ImageLimits { bytes_max: 1 << 20, pixels_max: 1 << 20 };
    Image::decode(&bytes.into_inner(), &limits).unwrap()
}

fn about(images: &[Image], text: &str) -> Request {
    let images = images.iter().cloned().map(Part::Image);
    let content = images.chain([Part::Text(text.into())]).collect();
    let prompt = vec![Message::of("user", content)].into();
    Request { prompt, max_tokens: Some(12), ..chat("") }
}

/// A copy of the toy that sees, every tensor as `change` wants it; `None` leaves it out.
fn rewritten(change: impl Fn(String, Tensor) -> Option<(String, Tensor)>) -> TempDir {
    let copy = copy(SEES);
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for file in fs::read_dir(copy.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "safetensors") {
            tensors.extend(safetensors::load(&file, &Device::Cpu).unwrap());
            fs::remove_file(file).unwrap();
        }
    }
    fs::remove_file(copy.path().join("model.safetensors.index.json")).ok();
    let changed = tensors.into_iter().filter_map(|(name, tensor)| change(name, tensor));
    let changed: HashMap<_, _> = changed.collect();
    safetensors::save(&changed, copy.path().join("model.safetensors")).unwrap();
    copy
}

/// Eyes that distinguish any two pictures, whatever the toy was trained to see.
fn sharp(name: String, tensor: Tensor) -> Option<(String, Tensor)> {
    if !name.ends_with("mm_input_projection_weight") {
        return Some((name, tensor));
    }
    let wave: Vec<f32> = (0..tensor.elem_count()).map(|i| (i as f32 * 0.7).sin()).collect();
    let wave = Tensor::from_vec(wave, tensor.shape(), &Device::Cpu).unwrap();
    Some((name, wave.to_dtype(tensor.dtype()).unwrap()))
}

fn at(path: &Path) -> ExpertSettings {
    ExpertSettings { path: path.into(), ..toy(SEES) }
}

fn fleet_at(path: &Path) -> Fleet {
    let mut settings = settings(&[SEES]);
    settings.experts[0].path = path.into();
    Fleet::start(settings)
}

#[tokio::test]
async fn pictures_are_answered_together_as_alone() {
    let copy = rewritten(sharp);
    let fleet = fleet_at(copy.path());
    let requests = [
        about(&[image(2)], "What is in this picture?"),
        about(&[], "What is in this picture?"),
        about(&[image(3), image(5), image(2)], "And in these?"),
        about(&[image(7)], "What is in this picture?"),
    ];
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(ask(&fleet, SEES, request.clone()).await.unwrap());
    }
    let together = requests.map(|request| {
        let fleet = fleet.clone();
        tokio::spawn(async move { ask(&fleet, SEES, request).await.unwrap() })
    });
    for (reply, alone) in together.into_iter().zip(&alone) {
        let reply = reply.await.unwrap();
        assert_eq!((&reply.text, reply.usage), (&alone.text, again(alone.usage)));
    }
    assert!(alone[0].usage.prompt_tokens > alone[1].usage.prompt_tokens + 4);
}

#[tokio::test]
async fn pictures_whose_beginning_is_known_wait_for_memory_and_are_answered_the_same() {
    let copy = rewritten(sharp);
    let mut settings = settings(&[SEES]);
    settings.experts[0].path = copy.path().into();
    settings.experts[0].max_model_len = Some(128); // two replies fit, of which none gives way
    let fleet = Fleet::start(settings);
    let request = || about(&[image(2)], "What is in this picture?");
    let alone = ask(&fleet, SEES, request()).await.unwrap();
    let together = [(); 40].map(|()| {
        let fleet = fleet.clone();
        tokio::spawn(async move { ask(&fleet, SEES, request()).await.unwrap() })
    });
    for reply in together {
        let reply = reply.await.unwrap();
        // What is kept goes when memory is short, so some compute the picture anew.
        let counts = |usage: Usage| (usage.prompt_tokens, usage.completion_tokens);
        assert_eq!((&reply.text, counts(reply.usage)), (&alone.text, counts(alone.usage)));
    }
}

#[tokio::test]
async fn a_blind_expert_names_those_that_see_and_stays_cold() {
    let fleet = fleet(&[BLIND, SEES]);
    let error = ask(&fleet, BLIND, about(&[image(2)], "What is it?")).await.unwrap_err();
    assert_eq!(error, EngineError::Blind { expert: BLIND.into(), seeing: vec![SEES.into()] });
    assert!(error.to_string().contains("ask gemma3_multimodal"), "{error}");
    assert_eq!(fleet.status(BLIND).unwrap().load_count, 0);
    let can = |id: &str| fleet.status(id).unwrap().capabilities.contains(&"images".to_owned());
    assert!(can(SEES) && !can(BLIND));
}

#[tokio::test]
async fn files_without_a_tower_are_served_as_text() {
    let seen = inspect(&toy(SEES), &Templates::InProcess);
    assert!(seen.images && !seen.findings.iter().any(|finding| finding.code.contains("vision")));
    let vision = |name: &str| name.contains("vision_tower") || name.contains("multi_modal");
    let copy = rewritten(|name, tensor| (!vision(&name)).then_some((name, tensor)));
    let blind = inspect(&at(copy.path()), &Templates::InProcess);
    assert_eq!((blind.images, blind.failure()), (false, None));
    let finding = blind.findings.iter().find(|finding| finding.code == "vision-missing").unwrap();
    assert_eq!(finding.severity, Severity::Note);
    assert!(blind.weight_bytes < seen.weight_bytes, "the tower is counted");
    let fleet = fleet_at(copy.path());
    ask(&fleet, SEES, chat("Hello")).await.unwrap();
    let error = ask(&fleet, SEES, about(&[image(2)], "What is it?")).await.unwrap_err();
    assert_eq!(error, EngineError::Blind { expert: SEES.into(), seeing: Vec::new() });
}

fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut json);
    fs::write(file, json.to_string()).unwrap();
}

#[test]
fn processors_of_other_models_are_named() {
    let folder = copy(SEES);
    let file = folder.path().join("preprocessor_config.json");
    edit(&file, |json| json["do_pan_and_scan"] = true.into());
    let seen = inspect(&at(folder.path()), &Templates::InProcess);
    let crops = seen.findings.iter().find(|finding| finding.code == "pan-and-scan-ignored");
    assert_eq!((crops.unwrap().severity, seen.failure()), (Severity::Warning, None));
    edit(&file, |json| json["size"]["height"] = 55.into());
    let failure = inspect(&at(folder.path()), &Templates::InProcess).failure().unwrap().to_string();
    assert!(failure.contains("preprocessor_config.json: pictures are resized to"), "{failure}");
}

#[test]
fn half_a_tower_is_named() {
    for lost in ["post_layernorm.weight", "encoder.layers.0.mlp.fc2.bias", "q_proj.weight"] {
        let kept = |name: &str| !(name.starts_with(TOWER) && name.ends_with(lost));
        let copy = rewritten(|name, tensor| kept(&name).then_some((name, tensor)));
        let failure =
            inspect(&at(copy.path()), &Templates::InProcess).failure().unwrap().to_string();
        assert!(failure.contains(lost) && failure.contains("is missing"), "{failure}");
    }
    let folder = copy(SEES);
    edit(&folder.path().join("config.json"), |json| {
        json["vision_config"]["intermediate_size"] = 100.into();
    });
    let failure = inspect(&at(folder.path()), &Templates::InProcess).failure().unwrap().to_string();
    assert!(failure.contains("mlp.fc1.weight' has the shape"), "{failure}");
}

/// Transformers 5 calls the same tensors otherwise, and not always in the same way.
#[tokio::test]
async fn both_namings_are_the_same_eyes() {
    let request = about(&[image(3)], "What is in this picture?");
    let old = rewritten(sharp);
    let expected = ask(&fleet_at(old.path()), SEES, request.clone()).await.unwrap().text;
    for tower in ["model.vision_tower.", "model.vision_tower.vision_model.", "vision_tower."] {
        let new = |name: String| {
            name.replace(TOWER, tower)
                .replace("multi_modal_projector.", "model.multi_modal_projector.")
                .replace("language_model.model.", "model.language_model.")
        };
        let copy = rewritten(|name, tensor| sharp(new(name), tensor));
        assert_eq!(
            inspect(&at(copy.path()), &Templates::InProcess).weight_bytes,
            inspect(&at(old.path()), &Templates::InProcess).weight_bytes
        );
        let reply = ask(&fleet_at(copy.path()), SEES, request.clone()).await.unwrap();
        assert_eq!(reply.text, expected, "{tower}");
    }
}

fn score(
    path: &Path,
    ids: &[u32],
    images: &[Image],
    chunk: Option<usize>,
) -> Result<Vec<Vec<f32>>, EngineError> {
    let how = Scoring { exact: false, threads: 1, chunk, kv_cache_dtype: KvCacheDType::Auto };
    let scorer = Scorer::open(path, how).unwrap();
    let mut logits = Vec::new();
    scorer.score(ids, images, &mut |row| logits.push(row.to_vec())).map(|()| logits)
}

#[test]
fn scoring_takes_pictures_whole_in_every_chunk() {
    let config = fs::read(folder(SEES).join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let number = |key: &str| config[key].as_u64().unwrap() as usize;
    let places = vec![number("image_token_index") as u32; number("mm_tokens_per_image")];
    let ids = [&[2, 300, 301][..], &places, &[302], &places, &[303, 304, 305]].concat();
    let images = [image(2), image(3)];
    let copy = rewritten(sharp);
    let score = |images: &[Image], chunk| score(copy.path(), &ids, images, chunk);
    let whole = score(&images, None).unwrap();
    assert_eq!(whole.len(), ids.len());
    for chunk in [1, 2, 5, 7] {
        assert!(score(&images, Some(chunk)).unwrap() == whole, "chunks of {chunk}");
    }
    assert!(score(&[image(3), image(2)], None).unwrap() != whole, "first come, first seen");
    for given in [0, 1, 3] {
        let images: Vec<Image> = (0..given).map(|_| image(2)).collect();
        let error = score(&images, None).unwrap_err();
        let message = format!("the prompt has places for 2 images, and {given} are given");
        assert_eq!(error, EngineError::InvalidRequest { message });
    }
}
