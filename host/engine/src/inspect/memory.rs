//! What an expert takes of memory, and what would make it fit.

use signalbox_kernels::{Isa, KvFormat};

use super::finding::{
    Inspection,
    Severity::{Error, Note},
};
use crate::{
    ExpertSettings,
    checkpoint::Checkpoint,
    machine::machine_memory,
    memory::{
        context_that_fits, kv_bytes_of_one, kv_bytes_per_token, kv_reserve, kv_sequences,
        kv_tokens, mib,
    },
};

/// A shorter context than this is nothing to recommend.
const CONTEXT_MIN: u64 = 256;
/// Tokens of a sequence as there are many.
const TYPICAL: u32 = 1024;

/// Counts it, and holds it against the machine.
pub(super) fn survey(
    settings: &ExpertSettings,
    checkpoint: &Checkpoint,
    inspection: &mut Inspection,
) {
    let weights = inspection.weight_bytes.unwrap_or(0);
    let format = checkpoint.kv_format(Isa::best());
    if settings.max_model_len.is_none() {
        shorten(checkpoint, format, settings.kv_bytes, inspection);
    }
    let context = inspection.context_length.unwrap_or(0);
    let plan = settings.kv_plan(context);
    let kv = kv_reserve(checkpoint.spec(), format, plan);
    if settings.kv_bytes.is_some_and(|given| given < kv) {
        return refuse_given(settings, checkpoint, format, inspection);
    }
    let total = weights.saturating_add(kv);
    inspection.memory_bytes = Some(total);
    let machine = machine_memory();
    if total > machine {
        let message = format!("it needs {}, this machine has {}", mib(total), mib(machine));
        let mend = memory_mend(settings, inspection, machine);
        inspection.add(Error, "memory-short", message, mend);
    } else {
        let room = |tokens| kv_sequences(checkpoint.spec(), format, plan, tokens);
        let (full, typical) = (room(context), context.min(TYPICAL));
        let message = format!(
            "it takes {}: weights {}, KV cache {}, which is {full} of {context} tokens at once or {} of {typical}",
            mib(total),
            mib(weights),
            mib(kv),
            room(typical),
        );
        inspection.add(Note, "memory-needed", message, "");
    }
}

/// What the operator gives holds not even one full-length sequence.
fn refuse_given(
    settings: &ExpertSettings,
    checkpoint: &Checkpoint,
    format: KvFormat,
    inspection: &mut Inspection,
) {
    let spec = checkpoint.spec();
    let (given, context) = (settings.kv_bytes.unwrap_or(0), inspection.context_length.unwrap_or(0));
    let one = kv_bytes_of_one(spec, format, context);
    let message = format!(
        "its KV cache is to take {}, and one sequence of {context} tokens takes {}",
        mib(given),
        mib(one)
    );
    let fits = context_that_fits(spec, format, context, Some(given));
    let mut mend = format!("give it {} or more (kv_cache_memory, memory.kv)", mib(one));
    if kv_bytes_of_one(spec, format, fits) <= given {
        mend.push_str(&format!(", or set max_model_len to {fits} or less"));
    }
    inspection.add(Error, "kv-memory-short", message, mend);
}

/// A context that nobody asked for is no longer than there is room for.
fn shorten(
    checkpoint: &Checkpoint,
    format: KvFormat,
    given: Option<u64>,
    inspection: &mut Inspection,
) {
    let spec = checkpoint.spec();
    let longest = inspection.context_length.unwrap_or(0);
    let context = context_that_fits(spec, format, longest, given);
    if context < longest {
        let all = kv_bytes_per_token(spec, format).saturating_mul(u64::from(longest));
        let message = format!(
            "it is served with {context} tokens of the {longest} that it knows: a KV cache of all takes {}",
            mib(all)
        );
        let mend = "set max_model_len to the length that you need";
        inspection.add(Note, "context-shortened", message, mend);
        inspection.context_length = Some(context);
    }
}

impl Inspection {
    /// What would make the expert fit into so many bytes.
    pub fn memory_mend(&self, settings: &ExpertSettings, bytes: u64) -> String {
        memory_mend(settings, self, bytes)
    }
}

fn memory_mend(settings: &ExpertSettings, seen: &Inspection, bytes: u64) -> String {
    let spare = bytes.saturating_sub(seen.weight_bytes.unwrap_or(0));
    let tokens = spare / seen.kv_bytes_per_token.unwrap_or(0).max(1);
    let context = u64::from(seen.context_length.unwrap_or(0));
    let longest = tokens / kv_tokens(1, settings.max_num_seqs) / CONTEXT_MIN * CONTEXT_MIN;
    let plain = matches!(seen.quantization.as_deref(), Some("f32" | "f16" | "bf16"));
    let mut mends = Vec::new();
    if settings.kv_bytes.is_some_and(|given| given > spare) && spare >> 20 > 0 {
        mends.push(format!("set kv_cache_memory to {} MiB or less", spare >> 20));
    }
    if settings.max_num_seqs > 1 && tokens >= context {
        mends.push("set max_num_seqs to 1".to_owned());
    }
    if (CONTEXT_MIN..context).contains(&longest) {
        mends.push(format!("set max_model_len to {longest} or less"));
    }
    if plain {
        mends.push("set quantization to \"int4\"".to_owned());
    }
    if mends.is_empty() {
        mends.push("use a smaller or quantised checkpoint".to_owned());
    }
    mends.join(", or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_test::tests::expert;

    const WEIGHTS: u64 = 1000;

    /// An expert of 1000 bytes, 4096 tokens, and a byte for each.
    fn check(quantization: &str, bytes: u64, expect: &str) {
        let seen = Inspection {
            weight_bytes: Some(WEIGHTS),
            kv_bytes_per_token: Some(1),
            context_length: Some(4096),
            quantization: Some(quantization.to_owned()),
            ..Inspection::default()
        };
        let settings = ExpertSettings { max_num_seqs: 8, ..expert("x") };
        assert_eq!(memory_mend(&settings, &seen, bytes), expect, "{quantization} in {bytes}");
    }

    #[test]
    fn mends_are_numbers_that_help() {
        let shorter = |longest| format!("set max_model_len to {longest} or less");
        check("gguf q4_0", WEIGHTS + 5000, &format!("set max_num_seqs to 1, or {}", shorter(2304)));
        check("gguf q4_0", WEIGHTS + 4000, &shorter(1792));
        check("bf16", WEIGHTS + 600, &format!("{}, or set quantization to \"int4\"", shorter(256)));
        check("bf16", WEIGHTS, "set quantization to \"int4\"");
        check("gguf q4_0", WEIGHTS, "use a smaller or quantised checkpoint");
    }
}
