//! What an expert takes of memory, before any of it is taken: bytes of its KV cache, and sizes in words.

use signalbox_kernels::{BLOCK_TOKENS, KvFormat};

use crate::{machine::machine_memory, model::PREFILL_CHUNK_ALONE, spec::ModelSpec};

/// Full-length sequences whose KV cache is set aside when an expert is loaded, where that is no more than
/// [`MACHINE_PART`]. More sequences run together as long as they are shorter.
const KV_SEQUENCES_RESERVED: u64 = 2;
/// The part of the machine's memory that an expert's KV cache takes at most, unless one full-length sequence takes
/// more.
const MACHINE_PART: u64 = 8;
/// Contexts that the machine is too small for are shortened by so many tokens.
const CONTEXT_STEP: u32 = 1024;

/// Bytes that one token of one sequence takes in the KV cache.
pub(crate) fn kv_bytes_per_token(spec: &ModelSpec, format: KvFormat) -> u64 {
    (spec.layers.len() * spec.kv_shape(format).token_bytes()) as u64
}

/// Tokens of full-length sequences that are set aside where there is memory for them.
pub(crate) fn kv_tokens(context: u32, max_num_seqs: u32) -> u64 {
    u64::from(context) * KV_SEQUENCES_RESERVED.min(u64::from(max_num_seqs.max(1)))
}

/// What the KV cache of an expert is to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KvPlan {
    /// Tokens of a full-length sequence.
    pub(crate) context: u32,
    /// Sequences that may run at once.
    pub(crate) sequences: u32,
    /// What the operator gives it.
    pub(crate) bytes: Option<u64>,
}

/// Blocks of KV cache that are set aside with an expert, and that its sequences share with what is kept of others.
pub(crate) fn kv_blocks(spec: &ModelSpec, format: KvFormat, plan: KvPlan) -> u64 {
    shared_blocks(blocks_of_one(spec, plan.context), plan, most_blocks(spec, format, plan.bytes))
}

/// The same in bytes.
pub(crate) fn kv_reserve(spec: &ModelSpec, format: KvFormat, plan: KvPlan) -> u64 {
    kv_blocks(spec, format, plan).saturating_mul(block_bytes(spec, format))
}

/// Bytes that one sequence of `tokens` takes at most.
pub(crate) fn kv_bytes_of_one(spec: &ModelSpec, format: KvFormat, tokens: u32) -> u64 {
    blocks_of_one(spec, tokens).saturating_mul(block_bytes(spec, format))
}

/// The longest context of at most `longest` tokens, in steps of [`CONTEXT_STEP`], of which one sequence takes no more
/// than what the operator gives, or an expert's part of the machine.
pub(crate) fn context_that_fits(
    spec: &ModelSpec,
    format: KvFormat,
    longest: u32,
    bytes: Option<u64>,
) -> u32 {
    let most = most_blocks(spec, format, bytes);
    fitting(longest, |tokens| blocks_of_one(spec, tokens) <= most)
}

fn most_blocks(spec: &ModelSpec, format: KvFormat, bytes: Option<u64>) -> u64 {
    bytes.unwrap_or_else(|| machine_memory() / MACHINE_PART) / block_bytes(spec, format)
}

fn block_bytes(spec: &ModelSpec, format: KvFormat) -> u64 {
    spec.kv_shape(format).block_bytes() as u64
}

fn fitting(longest: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let steps = (1..=longest / CONTEXT_STEP).rev().map(|step| step * CONTEXT_STEP);
    let mut tokens = std::iter::once(longest).chain(steps);
    tokens.find(|tokens| fits(*tokens)).unwrap_or(longest.min(CONTEXT_STEP))
}

/// How many sequences of `tokens` the reserve of an expert has room for.
pub(crate) fn kv_sequences(spec: &ModelSpec, format: KvFormat, plan: KvPlan, tokens: u32) -> u64 {
    let blocks = kv_blocks(spec, format, plan);
    (blocks / blocks_of_one(spec, tokens).max(1)).clamp(1, u64::from(plan.sequences.max(1)))
}

/// Blocks that a sequence of `tokens` holds at most. A layer with a window holds that, a chunk that is being fed, and
/// the rest of a block at either end.
fn blocks_of_one(spec: &ModelSpec, tokens: u32) -> u64 {
    let picture = spec.vision.as_ref().map_or(0, |vision| vision.tokens());
    let beside = PREFILL_CHUNK_ALONE.max(picture) + 2 * BLOCK_TOKENS;
    let held = |window: Option<usize>| {
        let held = window.map_or(usize::MAX, |window| window.saturating_add(beside));
        held.min(tokens as usize).div_ceil(BLOCK_TOKENS) as u64
    };
    spec.layers.iter().map(|layer| held(layer.window)).sum()
}

/// Blocks for all sequences, of which one alone takes `one` and all together no more than `most`. What the operator
/// gives is for as many full-length ones as may run.
fn shared_blocks(one: u64, plan: KvPlan, most: u64) -> u64 {
    let all = u64::from(plan.sequences.max(1));
    let set_aside = if plan.bytes.is_some() { all } else { KV_SEQUENCES_RESERVED.min(all) };
    one.saturating_mul(set_aside).min(most).max(one)
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
    fn a_layer_with_a_window_holds_no_more_than_that_and_a_chunk() {
        let mut spec = Checkpoint::open(&toy("phi4_fast")).unwrap().spec().clone();
        spec.layers.truncate(2);
        spec.vision = None;
        let mut blocks = |window, tokens| {
            spec.layers[1].window = window;
            blocks_of_one(&spec, tokens)
        };
        assert_eq!([blocks(None, 64), blocks(None, 65)], [2, 4]);
        assert_eq!([blocks(Some(500), 6400), blocks(Some(20_000), 6400)], [100 + 18, 200]);
    }

    #[test]
    fn a_context_is_as_long_as_fits() {
        let check = |longest, most, expect| {
            assert_eq!(fitting(longest, |tokens| tokens <= most), expect, "{longest} in {most}");
        };
        check(131_072, 200_000, 131_072);
        check(131_072, 100_000, 99_328);
        check(1000, 2000, 1000);
        check(5000, 10, 1024);
        check(500, 10, 500);
    }

    #[test]
    fn two_sequences_are_set_aside_where_there_is_room_and_always_one() {
        let check = |one, sequences, most, expect| {
            let plan = KvPlan { context: 1, sequences, bytes: None };
            assert_eq!(shared_blocks(one, plan, most), expect, "{one}, {sequences}, {most}");
        };
        check(10, 8, 100, 20);
        check(10, 1, 100, 10);
        check(10, 0, 100, 10);
        check(10, 8, 15, 15);
        check(10, 8, 5, 10);
    }

    #[test]
    fn what_an_operator_gives_is_set_aside_for_as_many_sequences_as_may_run() {
        let check = |sequences, most, expect| {
            let plan = KvPlan { context: 1, sequences, bytes: Some(1) };
            assert_eq!(shared_blocks(10, plan, most), expect, "{sequences}, {most}");
        };
        check(8, 100, 80);
        check(8, 75, 75);
        check(1, 75, 10);
    }
}
