//! What inspection says of an expert that makes vectors of texts.

use signalbox_kernels::{BLOCK_TOKENS, Heads};

use super::{
    declared::{context, quantization, side_files},
    finding::{
        Inspection,
        Severity::{Error, Note},
    },
};
use crate::{
    ExpertSettings,
    checkpoint::EncoderCheckpoint,
    expert::{STEP_TEXTS, STEP_TOKENS},
    machine::machine_memory,
    memory::mib,
    spec::EncoderSpec,
    wording::Wording,
};

/// Rows of the width of the model, and of that of its feed-forward blocks, that a step holds at once.
const ROWS_HELD: (usize, usize) = (8, 2);

/// Reads headers and the tokenizer, and adds what it notices.
pub(super) fn survey(settings: &ExpertSettings, inspection: &mut Inspection) {
    let checkpoint = match EncoderCheckpoint::open(&settings.path, settings.bits()) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return inspection.push(error.into()),
    };
    let (spec, sentences) = (checkpoint.spec(), checkpoint.sentences());
    inspection.architecture = Some(spec.architecture.to_owned());
    inspection.ranks = spec.head.is_some();
    inspection.vector_width = Some(if inspection.ranks { 1 } else { spec.hidden as u32 });
    inspection.quantization = Some(checkpoint.stored().to_string());
    inspection.weight_bytes = Some(checkpoint.weight_bytes());
    inspection.kv_bytes_per_token = Some(0);
    let usual = sentences.longest.unwrap_or(spec.context_length).min(spec.context_length);
    context(settings, (usual, spec.context_length), inspection);
    memory(settings, &checkpoint, inspection);
    quantization(settings, &checkpoint.stored(), inspection);
    if !sentences.declared && !inspection.ranks {
        let message = "nothing says how its tokens are pooled; their mean is taken";
        let mend = "add modules.json and 1_Pooling/config.json if it is to be another";
        inspection.add(Note, "pooling-assumed", message, mend);
    }
    side_files(&checkpoint.source(), inspection);
    if let Err(error) = Wording::read(&checkpoint) {
        inspection.push(error.into());
    }
}

/// Counts weights and what a step holds beside them, and holds both against the machine.
fn memory(settings: &ExpertSettings, checkpoint: &EncoderCheckpoint, inspection: &mut Inspection) {
    let context = inspection.context_length.unwrap_or(0);
    let weights = checkpoint.weight_bytes();
    let step = step_bytes(checkpoint.spec(), context as usize);
    let total = weights.saturating_add(step);
    inspection.memory_bytes = Some(total);
    let machine = machine_memory();
    if total > machine {
        let message = format!("it needs {}, this machine has {}", mib(total), mib(machine));
        let mend = inspection.memory_mend(settings, machine);
        return inspection.add(Error, "memory-short", message, mend);
    }
    let message =
        format!("it takes {}: weights {}, a step {}", mib(total), mib(weights), mib(step));
    inspection.add(Note, "memory-needed", message, "");
}

/// What a step of so many tokens holds at most.
fn step_bytes(spec: &EncoderSpec, context: usize) -> u64 {
    let tokens = context.max(STEP_TOKENS);
    let Heads { kv_heads, head_dim, .. } = spec.heads;
    let rows = tokens * (ROWS_HELD.0 * spec.hidden + ROWS_HELD.1 * spec.intermediate);
    let blocks = STEP_TEXTS + tokens / BLOCK_TOKENS;
    let blocks = blocks * BLOCK_TOKENS * 2 * kv_heads * head_dim;
    ((rows + blocks) * size_of::<f32>()) as u64
}
