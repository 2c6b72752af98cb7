//! Work that takes a given time on this machine, and no memory.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

/// Steps that depend on each other; what they take is measured once.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    /// About so many nanoseconds, and at least one step.
    pub(crate) fn of(nanoseconds: u64) -> Work {
        Work { steps: ((nanoseconds as f64 * *STEPS_PER_NANOSECOND) as u64).max(1) }
    }

    pub(crate) fn run(self, number: u64) -> u64 {
        (0..self.steps).fold(number, |number, _| {
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)
        })
    }
}

static STEPS_PER_NANOSECOND: LazyLock<f64> = LazyLock::new(|| {
    let sample = Work { steps: 1_000_000 };
    let shortest = (0..5).map(|_| {
        let start = Instant::now();
        black_box(sample.run(black_box(1)));
        start.elapsed()
    });
    sample.steps as f64 / shortest.min().expect("there are five").as_nanos() as f64
});
