//! The checks behind [`inspect`](super::inspect), each a few lines that add what they notice.

use std::path::Path;

use signalbox_confine::{LINE_BYTES, clean};
use signalbox_kernels::{Isa, KvFormat};

use super::{
    declared::{context, quantization, side_files},
    encoder,
    finding::{
        Inspection,
        Severity::{Error, Note, Warning},
    },
    memory, vocabulary,
};
use crate::{
    checkpoint::Checkpoint,
    files::{Source, side},
    opened::Opened,
    settings::{DType, ExpertSettings, KvCacheDType},
    spec,
    template::{DeclaredTemplate, Problem, Renderers},
};

pub(super) fn survey(
    settings: &ExpertSettings,
    renderers: &Renderers,
    inspection: &mut Inspection,
) -> Option<Opened> {
    if !settings.path.exists() {
        let message = format!("{} does not exist", settings.path.display());
        inspection.add(
            Error,
            "path-missing",
            message,
            "download the checkpoint, or correct model_path",
        );
        return None;
    }
    let architecture = declared_architecture(&settings.path);
    if architecture.as_deref().is_some_and(spec::is_encoder) {
        encoder::survey(settings, inspection);
        return None;
    }
    match Opened::open(&settings.path, settings.bits(), settings.kv_cache_dtype, renderers) {
        Ok(opened) => {
            survey_checkpoint(settings, &opened, inspection);
            Some(opened)
        }
        Err(error) => {
            inspection.architecture = architecture;
            inspection.push(error.into());
            None
        }
    }
}

fn survey_checkpoint(settings: &ExpertSettings, opened: &Opened, inspection: &mut Inspection) {
    let Opened { checkpoint, template, .. } = opened;
    let spec = checkpoint.spec();
    inspection.architecture = Some(spec.architecture.to_owned());
    inspection.quantization = Some(checkpoint.stored().to_string());
    inspection.weight_bytes = Some(checkpoint.weight_bytes());
    inspection.kv_bytes_per_token = Some(checkpoint.kv_bytes_per_token(Isa::best()));
    context(settings, (spec.context_length, spec.context_length), inspection);
    memory::survey(settings, checkpoint, inspection);
    quantization(settings, checkpoint.stored(), inspection);
    dtype(settings, spec.architecture, inspection);
    kv_cache_dtype(settings, checkpoint, inspection);
    side_files(checkpoint.source(), inspection);
    chat_template(template, inspection);
    vocabulary::survey(opened, inspection);
    head(checkpoint, inspection);
    sight(checkpoint, inspection);
}

/// Images need a chat, for it is the template that gives them their places.
fn sight(checkpoint: &Checkpoint, inspection: &mut Inspection) {
    let spec = checkpoint.spec();
    inspection.images = spec.vision.is_some() && inspection.chat;
    let blind = match checkpoint.source() {
        Source::Folder(_) => spec.architecture == "Gemma3ForConditionalGeneration",
        Source::Gguf(..) => spec.architecture.starts_with("Gemma3"),
    };
    if blind && spec.vision.is_none() {
        let message = "the files have no vision tower, so calls with images are refused";
        let mend = "if the model can see, use its complete Hugging Face folder";
        inspection.add(Note, "vision-missing", message, mend);
    }
    if checkpoint.wants_crops() {
        let message =
            "do_pan_and_scan is set, but images are looked at whole, without crops of them";
        let mend = "remove it from the processor's configuration";
        inspection.add(Warning, "pan-and-scan-ignored", message, mend);
    }
}

/// What `config.json` calls itself, for the listing of a checkpoint that can't be opened.
fn declared_architecture(path: &Path) -> Option<String> {
    let config = side::object_or_empty(&path.join("config.json"));
    config.get("architectures")?.get(0)?.as_str().map(str::to_owned)
}

/// Gemma 3 overflows in half precision. We compute in f32 whatever is declared, so this is a word
/// to whoever runs the same configuration elsewhere.
fn dtype(settings: &ExpertSettings, architecture: &str, inspection: &mut Inspection) {
    if settings.dtype == DType::Float16 && architecture.starts_with("Gemma3") {
        let message =
            "dtype is float16, in which Gemma 3 overflows; it is computed in float32 instead";
        inspection.add(Warning, "dtype-overflow", message, "set dtype to \"bfloat16\" or \"auto\"");
    }
}

fn kv_cache_dtype(settings: &ExpertSettings, checkpoint: &Checkpoint, inspection: &mut Inspection) {
    let wanted = settings.kv_cache_dtype;
    let narrow = matches!(wanted, KvCacheDType::Int8 | KvCacheDType::Fp8);
    if narrow && checkpoint.kv_format(Isa::best()) != KvFormat::Int8 {
        let message = "its keys have biases, which 8 bits do not bear; the KV cache is kept in f16";
        let mend = "set kv_cache_dtype to \"f16\" or \"auto\"";
        inspection.add(Warning, "kv-cache-f16", message, mend);
    } else if wanted == KvCacheDType::Fp8 {
        let message = "kv_cache_dtype is fp8; the KV cache is kept in int8, which is as small";
        inspection.add(Note, "kv-cache-int8", message, "set kv_cache_dtype to \"int8\"");
    }
}

fn head(checkpoint: &Checkpoint, inspection: &mut Inspection) {
    if checkpoint.has_narrow_head() {
        let message =
            "its head is held in 8 bits, which takes a tenth or more off what each token reads";
        inspection.add(Note, "head-quantised", message, "");
    }
}

fn chat_template(template: &DeclaredTemplate, inspection: &mut Inspection) {
    match template.text() {
        Ok(Some(_)) => {}
        Ok(None) => {
            let message = "the checkpoint has no chat template, so chat calls are refused";
            let mend =
                "add chat_template.jinja, or point to the instruct version; completions work";
            return inspection.add(Warning, "chat-template-missing", message, mend);
        }
        Err(damage) => {
            let message = format!("the chat template can't be read: {}", damage.message());
            let mend = "download the file again; completions work";
            return inspection.add(Warning, "chat-template-broken", message, mend);
        }
    }
    match template.compiled() {
        Ok(_) => inspection.chat = true,
        Err(problem) => no_chat(&problem, inspection),
    }
}

fn no_chat(problem: &Problem, inspection: &mut Inspection) {
    let words = clean(&problem.to_string(), LINE_BYTES);
    match problem {
        Problem::Unavailable(_) => {
            inspection.chat = true; // nothing speaks against it; the first call will see
            let message = format!("the chat template could not be tried: {words}");
            let mend = "it is tried again with the first chat";
            inspection.add(Warning, "chat-template-untried", message, mend);
        }
        Problem::Unbounded(_) | Problem::TooLong { .. } => {
            let message = format!("the chat template fails on a few words: {words}");
            let mend = "use the template of the model's publisher";
            inspection.add(Error, "chat-template-unbounded", message, mend);
        }
        Problem::Raised(_) | Problem::Failed(_) => {
            let message = format!("the chat template fails: {words}");
            let mend = "correct it; completions work";
            inspection.add(Warning, "chat-template-broken", message, mend);
        }
    }
}
