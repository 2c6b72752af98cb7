//! How much to claim at once, learnt from how long the last claim took.

use std::time::{Duration, Instant};

/// A claim that was over sooner was hardly worth its overhead.
const TOO_SHORT: Duration = Duration::from_micros(2);
/// A claim that took longer held items back that others could have run.
const TOO_LONG: Duration = Duration::from_micros(20);

/// Doubles while claims are cheap; falls back to single items after one that was not.
pub(crate) struct Pace {
    count: u32,
    most: u32,
    since: Instant,
}

impl Pace {
    pub(crate) fn new(most: u32) -> Pace {
        Pace { count: 1, most, since: Instant::now() }
    }

    /// How much to claim next.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// To be called when a claim was run; returns the time.
    pub(crate) fn record(&mut self) -> Instant {
        let now = Instant::now();
        self.count = self.after(now.duration_since(self.since));
        self.since = now;
        now
    }

    fn after(&self, took: Duration) -> u32 {
        if took > TOO_LONG {
            1
        } else if took < TOO_SHORT {
            (self.count * 2).min(self.most)
        } else {
            self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_bound_and_falls_back_at_once() {
        let mut pace = Pace::new(5);
        for expected in [2, 4, 5, 5] {
            pace.count = pace.after(Duration::from_nanos(10));
            assert_eq!(pace.count(), expected);
        }
        assert_eq!(pace.after(TOO_LONG), 5);
        assert_eq!(pace.after(TOO_LONG * 2), 1);
    }
}
