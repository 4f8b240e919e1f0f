//! How long a step takes by its number of rows, as measured: what tells how many rows one more step may have.

use std::time::Duration;

/// Weight of the newest measurement in a moving average.
const NEWEST: f32 = 0.2;
/// Powers of two that rows are counted by.
const CLASSES: usize = 12;
/// Rows beyond the most that were measured that are taken to cost as much as all of those before: a guess that
/// errs on the side of trying.
const ROWS_FREE: f32 = 8.0;

/// Moving averages of steps, one for every power of two of their rows.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: [Option<Seen>; CLASSES],
}

/// Steps of about as many rows.
#[derive(Debug, Clone, Copy)]
struct Seen {
    rows: f32,
    seconds: f32,
}

impl Pace {
    /// Takes in a step.
    pub(super) fn measured(&mut self, rows: usize, took: Duration) {
        let class = (rows.max(1).ilog2() as usize).min(CLASSES - 1);
        let new = Seen { rows: rows as f32, seconds: took.as_secs_f32() };
        let blend = |old: f32, new: f32| old + NEWEST * (new - old);
        self.seen[class] = Some(match self.seen[class] {
            None => new,
            Some(old) => {
                Seen { rows: blend(old.rows, new.rows), seconds: blend(old.seconds, new.seconds) }
            }
        });
    }

    /// Seconds that a step of so many rows takes: between what was measured, or else as a guess; `None` while
    /// nothing was.
    pub(super) fn step(&self, rows: usize) -> Option<f32> {
        let rows = rows as f32;
        let known = || self.seen.iter().flatten();
        let below = known().rfind(|seen| seen.rows <= rows);
        let above = known().find(|seen| seen.rows >= rows);
        Some(match (below, above) {
            (Some(below), Some(above)) if above.rows > below.rows => {
                let part = (rows - below.rows) / (above.rows - below.rows);
                below.seconds + part * (above.seconds - below.seconds)
            }
            (_, Some(above)) => above.seconds,
            (Some(below), None) => {
                below.seconds * (1.0 + (rows - below.rows) / (ROWS_FREE * below.rows))
            }
            (None, None) => return None,
        })
    }

    /// The largest of some growing numbers of rows with which a step of `rows` takes no longer than so many
    /// seconds; the first of them in any case.
    pub(super) fn within(&self, seconds: f32, rows: usize, more: &[usize]) -> usize {
        let fits = |more: &&usize| self.step(rows + **more).is_some_and(|step| step <= seconds);
        let first = more.first().copied().unwrap_or(0);
        more.iter().take_while(fits).last().copied().unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(steps: &[(usize, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (rows, millis) in steps {
            pace.measured(*rows, Duration::from_millis(*millis));
        }
        pace
    }

    fn check(steps: &[(usize, u64)], rows: usize, expect: Option<f32>) {
        let step = pace(steps).step(rows);
        let close = |a: f32, b: f32| (a - b).abs() < 1e-4;
        let same = match (step, expect) {
            (Some(step), Some(expect)) => close(step, expect),
            (step, expect) => step.is_none() && expect.is_none(),
        };
        assert!(same, "{steps:?}, {rows} rows: {step:?}");
    }

    #[test]
    fn a_step_is_between_those_that_were_measured() {
        check(&[], 1, None);
        check(&[(1, 20)], 1, Some(0.02));
        check(&[(1, 20), (9, 60)], 5, Some(0.04));
        check(&[(4, 30), (9, 60)], 1, Some(0.03));
        check(&[(1, 20)], 9, Some(0.04));
        check(&[(1, 20), (16, 50)], 144, Some(0.1));
    }

    #[test]
    fn averages_follow() {
        check(&[(1, 20), (1, 30)], 1, Some(0.022));
        check(&[(2, 20), (3, 20)], 2, Some(0.02));
    }

    #[test]
    fn rows_are_added_as_far_as_they_fit() {
        let more = [8, 16, 32, 64];
        assert_eq!(pace(&[]).within(0.05, 1, &more), 8);
        assert_eq!(pace(&[(1, 20), (17, 50), (65, 90)]).within(0.051, 1, &more), 16);
        assert_eq!(pace(&[(1, 20), (9, 90)]).within(0.05, 1, &more), 8);
        assert_eq!(pace(&[(1, 20), (65, 21)]).within(0.05, 1, &more), 64);
    }
}
