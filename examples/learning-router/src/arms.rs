//! What is known of every expert in one kind of question: how much was heard of it, and what that was worth. Each outcome
//! makes all earlier ones of the kind count a little less.

/// What an expert of which nothing is known is worth.
const UNKNOWN: f64 = 0.5;
/// Of which so little is left, nothing is known any more.
const FORGOTTEN: f64 = 0.01;

/// One line for an expert, in the bucket: weight, sum, id.
pub(crate) struct Arms(Vec<Arm>);

struct Arm {
    expert: String,
    /// Outcomes, discounted.
    weight: f64,
    /// What they were worth together, likewise.
    sum: f64,
}

impl Arms {
    /// What can't be read is not known.
    pub(crate) fn read(kept: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(kept.unwrap_or_default());
        let arm = |line: &str| {
            let mut parts = line.splitn(3, ' ');
            let weight = parts.next()?.parse().ok().filter(|weight: &f64| *weight > 0.0)?;
            let sum = parts.next()?.parse().ok().filter(|sum| (0.0..=weight).contains(sum))?;
            Some(Arm { weight, sum, expert: parts.next()?.to_owned() })
        };
        Self(text.lines().filter_map(arm).collect())
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        let line = |arm: &Arm| format!("{} {} {}\n", arm.weight, arm.sum, arm.expert);
        self.0.iter().map(line).collect::<String>().into_bytes()
    }

    /// How much was heard of an expert.
    pub(crate) fn known(&self, expert: &str) -> f64 {
        self.arm(expert).map_or(0.0, |arm| arm.weight)
    }

    /// What it is worth, as if one answer of middling worth had come before all others.
    pub(crate) fn mean(&self, expert: &str) -> f64 {
        let (weight, sum) = self.arm(expert).map_or((0.0, 0.0), |arm| (arm.weight, arm.sum));
        (sum + UNKNOWN) / (weight + 1.0)
    }

    /// How much better it may be than is known: more where little was heard of it and much of others.
    pub(crate) fn doubt(&self, expert: &str) -> f64 {
        let heard: f64 = self.0.iter().map(|arm| arm.weight).sum();
        ((1.0 + heard).ln() / (self.known(expert) + 0.1)).sqrt()
    }

    /// An outcome of `expert`, of so much worth and weight; `memory` of them count.
    pub(crate) fn learn(&mut self, expert: &str, worth: f64, weight: f64, memory: f64) {
        let keeps = (1.0 - 1.0 / memory).powf(weight);
        for arm in &mut self.0 {
            (arm.weight, arm.sum) = (arm.weight * keeps, arm.sum * keeps);
        }
        self.0.retain(|arm| arm.weight > FORGOTTEN);
        let sum = worth.clamp(0.0, 1.0) * weight;
        match self.0.iter_mut().find(|arm| arm.expert == expert) {
            Some(arm) => (arm.weight, arm.sum) = (arm.weight + weight, arm.sum + sum),
            None => self.0.push(Arm { expert: expert.to_owned(), weight, sum }),
        }
    }

    fn arm(&self, expert: &str) -> Option<&Arm> {
        self.0.iter().find(|arm| arm.expert == expert)
    }
}
