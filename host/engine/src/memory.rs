//! What an expert takes of memory, before any of it is taken: bytes of its KV cache, and sizes in words.

use signalbox_kernels::{BLOCK_TOKENS, KvFormat};

use crate::{model::PREFILL_CHUNK_ALONE, spec::ModelSpec};

/// Full-length sequences whose KV cache is set aside when an expert is loaded. More sequences run
/// together as long as they are shorter.
const KV_SEQUENCES_RESERVED: u64 = 2;

/// Bytes that one token of one sequence takes in the KV cache.
pub(crate) fn kv_bytes_per_token(spec: &ModelSpec, format: KvFormat) -> u64 {
    (spec.layers.len() * spec.kv_shape(format).token_bytes()) as u64
}

/// Tokens of KV cache that are set aside with an expert, and that its sequences share.
pub(crate) fn kv_tokens(context: u32, max_num_seqs: u32) -> u64 {
    u64::from(context) * KV_SEQUENCES_RESERVED.min(u64::from(max_num_seqs.max(1)))
}

/// Bytes of KV cache that are set aside with an expert: all that its sequences can come to hold together.
/// A layer with a window holds that of each, a chunk that is being fed, and the rest of a block at either end.
pub(crate) fn kv_reserve(
    spec: &ModelSpec,
    format: KvFormat,
    context: u32,
    max_num_seqs: u32,
) -> u64 {
    let tokens = kv_tokens(context, max_num_seqs);
    let picture = spec.vision.as_ref().map_or(0, |vision| vision.tokens());
    let beside = PREFILL_CHUNK_ALONE.max(picture) + 2 * BLOCK_TOKENS;
    let held =
        |window: usize| u64::from(max_num_seqs.max(1)).saturating_mul((window + beside) as u64);
    let layers =
        spec.layers.iter().map(|layer| layer.window.map_or(tokens, |w| tokens.min(held(w))));
    layers.sum::<u64>().saturating_mul(spec.kv_shape(format).token_bytes() as u64)
}

/// Bytes in words, rounded up to whole MiB.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checkpoint::Checkpoint, tokenizer::tests::toy};

    #[test]
    fn windows_are_set_aside_for_every_sequence_and_no_longer_than_all_of_them() {
        let mut spec = Checkpoint::open(&toy("phi4_fast")).unwrap().spec().clone();
        spec.layers.truncate(2);
        spec.vision = None;
        let bytes = spec.kv_shape(KvFormat::F16).token_bytes() as u64;
        let mut reserve = |window, sequences| {
            spec.layers[1].window = window;
            kv_reserve(&spec, KvFormat::F16, 10_000, sequences) / bytes
        };
        assert_eq!([reserve(None, 1), reserve(None, 9)], [20_000, 40_000]);
        assert_eq!([reserve(Some(500), 1), reserve(Some(500), 9)], [11_140, 30_260]);
        assert_eq!([reserve(Some(500), 99), reserve(Some(20_000), 1)], [40_000, 20_000]);
    }
}
