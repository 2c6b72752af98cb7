//! Provides work that takes a given time on this machine and does not access memory.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

/// A number of steps, each of which needs the result of the step before it.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    /// Returns work that takes about `nanoseconds`, and at least one step.
    pub(crate) fn of(nanoseconds: u64) -> Work {
        Work { steps: ((nanoseconds as f64 * *STEPS_PER_NANOSECOND) as u64).max(1) }
    }

    pub(crate) fn run(self, number: u64) -> u64 {
        (0..self.steps).fold(number, |number, _| {
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)
        })
    }
}

/// The speed of this machine, which is measured once.
static STEPS_PER_NANOSECOND: LazyLock<f64> = LazyLock::new(|| {
    let sample = Work { steps: 1_000_000 };
    let shortest = (0..5).map(|_| {
        let start = Instant::now();
        black_box(sample.run(black_box(1)));
        start.elapsed()
    });
    sample.steps as f64 / shortest.min().expect("there are five samples").as_nanos() as f64
});
