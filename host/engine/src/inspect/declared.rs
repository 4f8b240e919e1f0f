//! What an operator and a checkpoint's small files declare of an expert, whatever it makes.

use super::finding::{
    Inspection,
    Severity::{Note, Warning},
};
use crate::{
    ExpertSettings,
    checkpoint::Stored,
    files::{Source, side},
    generation::Generation,
    settings::Quantization,
};

/// As long as was asked for, or `usual`, and no longer than the checkpoint goes.
pub(super) fn context(
    settings: &ExpertSettings,
    (usual, longest): (u32, u32),
    inspection: &mut Inspection,
) {
    let wanted = settings.max_model_len.unwrap_or(usual);
    inspection.context_length = Some(wanted.min(longest));
    if wanted > longest {
        let message =
            format!("max_model_len is {wanted}, but the checkpoint ends at {longest} tokens");
        let mend = format!("it is served with {longest}; set max_model_len to that or less");
        inspection.add(Warning, "context-too-long", message, mend);
    }
}

/// A packed checkpoint decides, whatever was declared: a wrong word in a configuration is no reason to
/// lose an expert.
pub(super) fn quantization(
    settings: &ExpertSettings,
    stored: &Stored,
    inspection: &mut Inspection,
) {
    let declared = match settings.quantization {
        Some(Quantization::Awq) if !stored.is_awq() => "awq",
        Some(Quantization::Gptq) => "gptq",
        Some(Quantization::CompressedTensors) if !stored.is_compressed_tensors() => {
            "compressed-tensors"
        }
        Some(wanted @ (Quantization::Int4 | Quantization::Int8)) => {
            return quantising(wanted, stored, inspection);
        }
        _ => return,
    };
    let message = format!(
        "quantization is declared as \"{declared}\", but the checkpoint is {stored}; it is served \
         as it is"
    );
    let mend = match stored.is_plain() {
        true => format!(
            "remove \"quantization\", or set it to \"int4\" to have it packed while it is loaded, \
             or point model_path to a {declared} checkpoint"
        ),
        false => {
            format!("remove \"quantization\", or point model_path to a {declared} checkpoint")
        }
    };
    inspection.add(Warning, "quantization-mismatch", message, mend);
}

/// What comes of the wish to quantise while loading.
fn quantising(wanted: Quantization, stored: &Stored, inspection: &mut Inspection) {
    let wanted = if wanted == Quantization::Int4 { "int4" } else { "int8" };
    if stored.is_quantised_while_loading() {
        let message = format!("its linears are held as {stored}");
        inspection.add(Note, "quantised-while-loading", message, "");
        return;
    }
    let message = format!(
        "quantization is \"{wanted}\", but the checkpoint is already packed as {stored}; it is \
         served as it is"
    );
    let mend = "remove \"quantization\", or point model_path to the unpacked checkpoint";
    inspection.add(Warning, "quantization-mismatch", message, mend);
}

/// What is damaged among the files that the expert can be served without, or with less of.
pub(super) fn side_files(source: &Source, inspection: &mut Inspection) {
    let Source::Folder(folder) = source else { return };
    for name in side::JSON_FILES {
        if let Err(damage) = side::object(&folder.join(name)) {
            let mend = "download it again; what it says is left out until then";
            inspection.add(Warning, "side-file-damaged", damage.message(), mend);
        }
    }
    for name in side::JSON_FILES.into_iter().chain(["config.json"]) {
        for key in side::doubled(&folder.join(name)) {
            let message = format!("{name}: '{key}' is given twice, and the last one counts");
            inspection.add(Warning, "key-doubled", message, "keep one of them");
        }
    }
    for unapplied in Generation::unapplied(folder) {
        inspection.add(Note, "generation-config-unapplied", unapplied, "");
    }
    for oddity in Generation::oddities(folder) {
        inspection.add(Warning, "generation-config-odd", oddity, "correct the value, or remove it");
    }
}
