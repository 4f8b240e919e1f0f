//! Which of a machine's instruction sets serves: the one that multiplies fastest, by a measurement of some
//! milliseconds. A wider set is not always faster: some processors have fewer pipes for it, some lower their clock.
//!
//! A set whose products are not those of the scalar one is left out. Only products of many rows decide. Those of few rows wait for memory, whatever multiplies.

use std::{
    hint::black_box,
    sync::{LazyLock, OnceLock},
    time::{Duration, Instant},
};

use crate::{
    Format, Isa,
    activations::{Block, STEPS, quantise, survey},
    blocking::{BLOCKS, DEPTH, ROWS},
    packed::{Layout, Panel},
    table::Ops,
};

/// What a narrower set has to save of a wider one's time to be preferred: less may be chance, and a choice
/// should be the same after every start.
const SAVED_MIN: f64 = 0.1;
/// How long each set runs at a time: longer than a processor takes to change its clock.
const TURN: Duration = Duration::from_millis(3);
/// Turns of each. The best counts: another was disturbed.
const TURNS: usize = 2;
/// Rows of activations: those of a short prompt.
const SAMPLE_ROWS: usize = 64;

/// What [`Isa::prefer`] was given.
static PREFERRED: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// The one that serves: what was preferred, or of those that this machine has the fastest, measured once for
    /// the process.
    pub fn best() -> Self {
        fastest().isa
    }

    /// Lets this one serve, however fast it is. False where the machine lacks it or another serves already.
    pub fn prefer(self) -> bool {
        self.is_available() && PREFERRED.set(self).is_ok() && Self::best() == self
    }
}

/// The row of [`Isa::best`].
pub(crate) fn fastest() -> &'static Ops {
    static FASTEST: LazyLock<&Ops> = LazyLock::new(|| {
        if let Some(ops) = PREFERRED.get().and_then(|isa| Ops::of(*isa)) {
            return ops;
        }
        let sample = Sample::new();
        let right = |ops: &&'static Ops| sample.is_right(ops);
        let candidates: Vec<_> =
            Isa::available().skip(1).filter_map(Ops::of).filter(right).collect();
        let times = if candidates.len() > 1 { measure(&candidates, &sample) } else { vec![0.0] };
        candidates.get(preferred(&times)).copied().unwrap_or(Ops::scalar())
    });
    *FASTEST
}

/// The index of the shortest time; a later one unless an earlier one saves enough.
fn preferred(times: &[f64]) -> usize {
    let mut best = times.len() - 1;
    for (index, time) in times.iter().enumerate().rev() {
        if *time < (1.0 - SAVED_MIN) * times[best] {
            best = index;
        }
    }
    best
}

/// Seconds that each takes for the same products, one after the other, so that none runs at the clock of another.
fn measure(candidates: &[&'static Ops], sample: &Sample) -> Vec<f64> {
    let mut times = vec![f64::INFINITY; candidates.len()];
    for _ in 0..TURNS {
        for (time, ops) in times.iter_mut().zip(candidates) {
            *time = time.min(sample.turn(ops));
        }
    }
    times
}

/// Products that every set is tried with.
struct Sample {
    panels: Vec<Box<Panel>>,
    blocks: Vec<Block>,
    /// What they are.
    expect: Vec<[f32; ROWS]>,
}

impl Sample {
    fn new() -> Self {
        let layouts = [Format::Q4K, Format::Int4 { group: 128 }].into_iter().filter_map(Layout::of);
        let mut panels: Vec<_> = layouts.map(Panel::new).collect();
        panels.iter_mut().for_each(|panel| fill(panel));
        let mut blocks = vec![Block::default(); SAMPLE_ROWS * BLOCKS];
        let x: Vec<f32> = (0..DEPTH * BLOCKS).map(|at| (at as f32).sin()).collect();
        let mut maxima = [0.0; BLOCKS * STEPS];
        survey(&x, &mut maxima);
        for blocks in blocks.chunks_exact_mut(BLOCKS) {
            quantise(&x, &maxima, blocks);
        }
        let mut sample = Self { panels, blocks, expect: Vec::new() };
        sample.expect = sample.products(Ops::scalar());
        sample
    }

    fn products(&self, ops: &Ops) -> Vec<[f32; ROWS]> {
        let mut out = vec![[0.0; ROWS]; SAMPLE_ROWS];
        for panel in &self.panels {
            (ops.sweep)(panel, &self.blocks, BLOCKS, black_box(&mut out));
        }
        out
    }

    /// Whether a set computes what the scalar one does. One that does not, on whatever machine that may be, never
    /// serves.
    fn is_right(&self, ops: &Ops) -> bool {
        let products = self.products(ops);
        let pairs = products.as_flattened().iter().zip(self.expect.as_flattened());
        pairs
            .into_iter()
            .all(|(ours, scalar)| (ours - scalar).abs() <= 1e-3 * scalar.abs().max(1.0))
    }

    /// The median time of the products.
    fn turn(&self, ops: &Ops) -> f64 {
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < TURN || times.is_empty() {
            let began = Instant::now();
            self.products(ops);
            times.push(began.elapsed().as_secs_f64());
        }
        let middle = times.len() / 2;
        *times.select_nth_unstable_by(middle, f64::total_cmp).1
    }
}

/// Weights of every size that four bits have.
fn fill(panel: &mut Panel) {
    panel.blocks = BLOCKS;
    for (at, quant) in panel.quants.as_flattened_mut().as_flattened_mut().iter_mut().enumerate() {
        *quant = (at * 7 % 16) as u8;
    }
    for (at, factor) in panel.factors.as_flattened_mut().as_flattened_mut().iter_mut().enumerate() {
        *factor = 0.01 + (at % 13) as f32 * 0.001;
    }
    for (at, minimum) in panel.minima.as_flattened_mut().as_flattened_mut().iter_mut().enumerate() {
        *minimum = (at % 11) as f32 * 0.01;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_one_that_the_machine_has() {
        assert!(Isa::best().is_available());
        assert_eq!(Isa::best(), fastest().isa);
        // It is too late now to prefer another.
        assert!(!Isa::Scalar.prefer());
        assert_eq!(Isa::best(), fastest().isa);
    }

    #[test]
    fn a_wider_set_serves_unless_a_narrower_one_is_clearly_faster() {
        assert_eq!(preferred(&[2.0]), 0);
        assert_eq!(preferred(&[4.0, 1.0, 0.3]), 2);
        assert_eq!(preferred(&[4.0, 1.0, 1.05]), 2);
        assert_eq!(preferred(&[4.0, 1.0, 1.2]), 1);
        assert_eq!(preferred(&[1.0, 0.95, 1.0]), 2);
        assert_eq!(preferred(&[0.5, 1.0, 1.2]), 0);
    }

    #[test]
    fn a_set_that_computes_something_else_never_serves() {
        let sample = Sample::new();
        let wrong = Ops { sweep: |_, _, _, out| out.fill([1.0; ROWS]), ..*Ops::scalar() };
        assert!(sample.is_right(Ops::scalar()) && !sample.is_right(&wrong));
        let none = Ops { sweep: |_, _, _, out| out.fill([f32::NAN; ROWS]), ..wrong };
        assert!(!sample.is_right(&none));
    }

    #[test]
    fn every_set_is_measured() {
        let (sample, candidates) = (Sample::new(), Isa::available().filter_map(Ops::of));
        let candidates: Vec<_> = candidates.collect();
        assert!(candidates.iter().all(|ops| sample.is_right(ops)));
        let times = measure(&candidates, &sample);
        assert!(times.iter().all(|time| *time > 0.0 && time.is_finite()), "{times:?}");
        for (ops, time) in candidates.iter().zip(times) {
            println!("{}: {:.1} us", ops.isa, time * 1e6);
        }
    }
}
