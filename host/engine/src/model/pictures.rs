//! Pictures among tokens: what sees what, and that nothing depends on how a sequence is fed.

use super::{Chunk, Model};
use crate::{
    Image,
    checkpoint::Checkpoint,
    tokenizer::tests::toy,
    vision::{Picture, chunk_end, place},
};
use signalbox_kernels::Compute;

/// Words, a picture at once, words, two pictures with a token between, words.
const WORDS: [usize; 4] = [5, 7, 1, 6];

struct Scene {
    model: Model,
    ids: Vec<u32>,
    pictures: Vec<Picture>,
}

fn picture(step: usize) -> Image {
    let level = |i: usize| (i * step % 251) as u8;
    Image::raw(20, 30, (0..20 * 30 * 3).map(level).collect())
}

fn scene() -> Scene {
    let model =
        Checkpoint::open(&toy("gemma3_multimodal")).unwrap().load(&Compute::serving()).unwrap();
    let spec = model.spec().vision.clone().unwrap();
    let mut ids = Vec::new();
    for (place, words) in WORDS.into_iter().enumerate() {
        ids.extend((0..words).map(|word| (300 + 17 * place + word) as u32));
        ids.extend(vec![spec.placeholder; if place < 3 { spec.tokens() } else { 0 }]);
    }
    let placed = place(Some(&spec), &ids, &[picture(7), picture(11), picture(13)]).unwrap();
    let pictures = placed.iter().enumerate().map(|(index, placed)| {
        let mut picture = model.see(placed).unwrap();
        let wave = |i: usize| 3.0 * (i as f32 * 0.7 + index as f32).sin(); // whatever the toy sees
        picture.features.iter_mut().enumerate().for_each(|(i, x)| *x += wave(i));
        picture
    });
    Scene { pictures: pictures.collect(), model, ids }
}

impl Scene {
    /// Logits of every token, fed in chunks of `size`.
    fn logits(&self, pictures: &[Picture], size: usize) -> Vec<Vec<f32>> {
        let mut logits = Vec::new();
        let mut cache = self.model.new_cache(self.ids.len());
        while cache.len() < self.ids.len() {
            let spans = pictures.iter().map(|picture| &picture.span);
            let end = chunk_end(spans, cache.len(), self.ids.len().min(cache.len() + size));
            let tokens = &self.ids[cache.len()..end];
            let chunk = Chunk { cache: &mut cache, tokens, wanted: 1, pictures };
            self.model.score(chunk, &mut |row| logits.push(row.to_vec()));
        }
        logits
    }

    /// Positions whose logits change when the features of one soft token do.
    fn touched(&self, picture: usize, token: usize) -> Vec<usize> {
        let hidden = self.model.spec().hidden;
        let mut pictures = self.pictures.clone();
        let features = &mut pictures[picture].features[token * hidden..][..hidden];
        features.iter_mut().for_each(|x| *x += 1.0);
        let (before, after) =
            (self.logits(&self.pictures, usize::MAX >> 1), self.logits(&pictures, usize::MAX >> 1));
        (0..self.ids.len()).filter(|at| before[*at] != after[*at]).collect()
    }
}

#[test]
fn tokens_of_a_picture_see_each_other_and_nothing_else_behind_them() {
    let scene = scene();
    for (index, Picture { span, .. }) in scene.pictures.iter().enumerate() {
        let seen_from = (span.start..scene.ids.len()).collect::<Vec<_>>();
        for token in [0, span.len() - 1] {
            assert_eq!(scene.touched(index, token), seen_from, "picture {index}, token {token}");
        }
    }
}

#[test]
fn every_chunking_gives_the_same_logits() {
    let scene = scene();
    let whole = scene.logits(&scene.pictures, scene.ids.len());
    for size in 1..scene.ids.len() {
        assert!(scene.logits(&scene.pictures, size) == whole, "chunks of {size}");
    }
}

#[test]
fn every_split_outside_of_a_picture_continues_the_same_conversation() {
    let Scene { model, ids, pictures } = scene();
    let mut cache = model.new_cache(ids.len());
    let whole = model.forward(&mut [Chunk {
        cache: &mut cache,
        tokens: &ids,
        wanted: 1,
        pictures: &pictures,
    }]);
    let inside = |at: usize| pictures.iter().any(|p| p.span.start < at && at < p.span.end);
    for split in (1..ids.len()).filter(|split| !inside(*split)) {
        let mut cache = model.new_cache(ids.len());
        let (head, tail) = ids.split_at(split);
        let (seen, rest): (Vec<Picture>, Vec<Picture>) =
            pictures.iter().cloned().partition(|picture| picture.span.end <= split);
        model.forward(&mut [Chunk { cache: &mut cache, tokens: head, wanted: 1, pictures: &seen }]);
        let logits = model.forward(&mut [Chunk {
            cache: &mut cache,
            tokens: tail,
            wanted: 1,
            pictures: &rest,
        }]);
        assert!(logits == whole, "split at {split}");
    }
}

#[test]
fn a_picture_and_plain_text_do_not_notice_each_other() {
    let Scene { model, ids, pictures } = scene();
    let words = &ids[..WORDS[0]];
    let mut caches: Vec<_> = (0..5).map(|_| model.new_cache(ids.len())).collect();
    let [seen, read, first, second, third] = &mut caches[..] else { unreachable!() };
    let (tokens, pictures) = (&ids[..], &pictures[..]);
    let seen = model.forward(&mut [Chunk { cache: seen, tokens, wanted: 1, pictures }]).remove(0);
    let read = model
        .forward(&mut [Chunk { cache: read, tokens: words, wanted: 1, pictures: &[] }])
        .remove(0);
    let together = model.forward(&mut [
        Chunk { cache: first, tokens: words, wanted: 1, pictures: &[] },
        Chunk { cache: second, tokens, wanted: 1, pictures },
        Chunk { cache: third, tokens: words, wanted: 1, pictures: &[] },
    ]);
    assert!(together == [read.clone(), seen, read]);
}

#[test]
#[should_panic(expected = "chunk 0 splits a picture")]
fn half_a_picture_is_refused() {
    let Scene { model, ids, pictures } = scene();
    let mut cache = model.new_cache(ids.len());
    let tokens = &ids[..pictures[0].span.start + 1];
    model.forward(&mut [Chunk { cache: &mut cache, tokens, wanted: 1, pictures: &pictures }]);
}
