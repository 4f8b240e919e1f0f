//! What of a sequence is fed in a step.

use signalbox_kernels::Compute;

use std::sync::Arc;

use super::*;
use crate::{
    Priority, Progress, TokenStream,
    checkpoint::Checkpoint,
    prompt_format::tests::toy_format,
    sampler::{Rules, Sampler},
    tokenizer::{Stops, tests::toy},
};

fn sequence(prompt: usize, max_tokens: u32) -> Sequence {
    let path = toy("phi4_fast");
    let rules = Rules { temperature: 0.0, ..Rules::default() };
    let job = Job {
        prompt: vec![1; prompt],
        images: Vec::new(),
        prediction: Vec::new(),
        scope: 0,
        priority: Priority::default(),
        max_tokens,
        sampler: Sampler::new(rules, &[]),
        stops: Stops::new(&[]).unwrap(),
        constraint: None,
        weighing: None,
        logprobs: None,
        ends: BTreeSet::new(),
        min_tokens: 0,
        progress: Progress::default(),
        prompt_format: Arc::new(toy_format("phi4_fast")),
        events: TokenStream::open("a", 1).0,
        submitted: Instant::now(),
        loading: None,
        _hold: Box::new(()),
    };
    Sequence::new(
        Box::new(job),
        &Checkpoint::open(&path).unwrap().load(&Compute::serving()).unwrap(),
    )
}

#[test]
fn the_rotary_regime_is_that_of_the_longest_it_can_become() {
    let is_long = |prompt, max_tokens| sequence(prompt, max_tokens).cache.is_long();
    assert!(!is_long(500, 12));
    assert!(is_long(500, 13));
    assert!(is_long(1, 512));
    assert!(is_long(513, 1));
}

/// Feeds a step with `budget`, and says how many tokens it took.
fn feed(sequence: &mut Sequence, budget: usize) -> Option<usize> {
    let share = Some(sequence.share(budget)).filter(|share| *share > 0)?;
    let chunk = sequence.chunk(share, 0);
    chunk.cache.advance(share);
    Some(chunk.tokens.len())
}

fn seen(span: std::ops::Range<usize>) -> Picture {
    Picture { span, features: Vec::new() }
}

#[test]
fn a_picture_longer_than_a_chunk_waits_for_a_step_of_its_own() {
    let mut sequence = sequence(400, 1);
    sequence.pictures = vec![seen(10..266), seen(270..290)];
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(10), "up to the picture");
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK - 1), None, "others have a part of the step");
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(256), "whole");
    assert_eq!(feed(&mut sequence, 20), Some(4));
    assert_eq!(feed(&mut sequence, 19), None);
    assert_eq!(feed(&mut sequence, 20), Some(20));
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(110), "the rest");
}

#[test]
fn nothing_is_fed_beyond_a_picture_that_was_not_looked_at() {
    let mut sequence = sequence(40, 1);
    let image = crate::Image::raw(1, 1, vec![0; 3]);
    sequence.unseen = [Placed { span: 10..14, image }].into();
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(10));
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK), None);
    sequence.unseen.clear();
    sequence.pictures = vec![seen(10..14)];
    assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(30));
}
