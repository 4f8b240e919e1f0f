//! What an expert takes of memory, before any of it is taken: bytes of its KV cache, and sizes in words.

use crate::spec::ModelSpec;

/// Full-length sequences whose KV cache is set aside when an expert is loaded. More sequences run
/// together as long as they are shorter.
const KV_SEQUENCES_RESERVED: u64 = 2;

/// Bytes that one token of one sequence takes in the KV cache.
pub(crate) fn kv_bytes_per_token(spec: &ModelSpec) -> u64 {
    let floats = 2 * spec.kv_width() * spec.layers.len();
    (floats * size_of::<f32>()) as u64
}

/// Tokens of KV cache that are set aside with an expert, and that its sequences share.
pub(crate) fn kv_tokens(context: u32, max_num_seqs: u32) -> u64 {
    u64::from(context) * KV_SEQUENCES_RESERVED.min(u64::from(max_num_seqs.max(1)))
}

/// Bytes in words, rounded up to whole MiB.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
