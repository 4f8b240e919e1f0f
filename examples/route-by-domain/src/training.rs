//! Makes the classifier's table from the prompts in `prompts/`: logistic regression by gradient descent, the same
//! bits on every machine.

use crate::classifier::{CLASSES, Scores, softmax};
use crate::features::{BUCKETS, Seen};

const ROUNDS: usize = 3;
const RATE: f32 = 0.3;
/// What is kept back from the right answer, so that probabilities stay honest.
const DOUBT: f32 = 0.1;
/// Prompts that are made of one line, at least and at most: four times as many as it has choices.
const VARIANTS: (usize, usize) = (4, 500);
/// What hasty people leave out or mistype: one prompt in so many gets a slip.
const SLIP_EVERY: u32 = 3;

/// A prompt and the class it belongs to.
pub(crate) struct Sample {
    pub(crate) text: String,
    pub(crate) class: usize,
}

/// Numbers that look like chance and are the same every time.
pub(crate) struct Chance(u32);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(2026)
    }

    /// One of `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound.max(1)
    }
}

/// The prompts of a file: one a line, `«a|b»` stands for one of these, `\n` for a line break, `#` begins a remark.
pub(crate) fn samples(file: &str, class: usize, chance: &mut Chance) -> Vec<Sample> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let mut samples = Vec::new();
    for line in lines {
        let variants = (line.matches('|').count() * 4).clamp(VARIANTS.0, VARIANTS.1);
        for variant in 0..variants {
            let mut text = expand(line, chance).replace("\\n", "\n");
            if variant > 0 && chance.below(SLIP_EVERY as usize) == 0 {
                text = slip(&text, chance);
            }
            samples.push(Sample { text, class });
        }
    }
    samples
}

/// The line with one choice made for each bracket; brackets may stand inside each other.
fn expand(line: &str, chance: &mut Chance) -> String {
    let mut text = line.to_owned();
    while let Some(close) = text.find('»') {
        let Some(open) = text[..close].rfind('«') else { break };
        let choices: Vec<&str> = text[open + '«'.len_utf8()..close].split('|').collect();
        let chosen = choices[chance.below(choices.len())].to_owned();
        text.replace_range(open..close + '»'.len_utf8(), &chosen);
    }
    text
}

/// A slip: a letter lost, two swapped, one doubled, or the capitals and marks left out.
fn slip(text: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let at = chance.below(letters.len().saturating_sub(1));
    match chance.below(5) {
        0 if letters.len() > 6 => drop(letters.remove(at)),
        1 if letters.len() > 6 => letters.swap(at, at + 1),
        2 => letters.insert(at, letters[at]),
        _ => letters.retain(|c| !"¿?¡!.,'".contains(*c)),
    }
    letters.into_iter().flat_map(char::to_lowercase).collect()
}

/// The table, as `weights.bin` has it.
pub(crate) fn train(samples: &[Sample], chance: &mut Chance) -> Vec<u8> {
    let seen: Vec<Seen> = samples.iter().map(|sample| Seen::of(&sample.text)).collect();
    let mut weights = vec![[0.0f32; CLASSES]; BUCKETS];
    let mut steps = vec![[1e-2f32; CLASSES]; BUCKETS];
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let share = shares(samples);
    for _ in 0..ROUNDS {
        for at in (1..order.len()).rev() {
            order.swap(at, chance.below(at + 1));
        }
        for &at in &order {
            let class = samples[at].class;
            learn(&seen[at], class, share[class], &mut weights, &mut steps);
        }
    }
    quantised(&weights)
}

/// What a sample of each class counts, so that no class wins by its number of lines alone.
fn shares(samples: &[Sample]) -> Scores {
    let mut counts = [0.0f32; CLASSES];
    samples.iter().for_each(|sample| counts[sample.class] += 1.0);
    let even = samples.len() as f32 / CLASSES as f32;
    counts.map(|count| (even / count.max(1.0)).sqrt())
}

fn learn(seen: &Seen, class: usize, share: f32, weights: &mut [Scores], steps: &mut [Scores]) {
    let mut sums = [0.0f32; CLASSES];
    for feature in &seen.features {
        for (sum, weight) in sums.iter_mut().zip(&weights[usize::from(feature.bucket)]) {
            *sum += feature.weight * weight;
        }
    }
    let found = softmax(sums);
    for (at, found) in found.into_iter().enumerate() {
        let wanted = DOUBT / CLASSES as f32 + if at == class { 1.0 - DOUBT } else { 0.0 };
        let error = (found - wanted) * share;
        for feature in &seen.features {
            let slope = error * feature.weight;
            let step = &mut steps[usize::from(feature.bucket)][at];
            *step += slope * slope;
            weights[usize::from(feature.bucket)][at] -= RATE * slope / step.sqrt();
        }
    }
}

/// One byte for each weight, and what a step is worth.
fn quantised(weights: &[Scores]) -> Vec<u8> {
    let largest = weights.iter().flatten().fold(1e-6f32, |most, weight| most.max(weight.abs()));
    let scale = largest / 127.0;
    let bytes = weights.iter().flatten().map(|weight| (weight / scale).round() as i8);
    bytes.map(i8::cast_unsigned).chain(scale.to_le_bytes()).collect()
}
