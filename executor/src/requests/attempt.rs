//! An attempt, as the job of the user sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::limits::LimitState;
use crate::primitive::now;

/// An attempt at an item of [`Requests`](crate::Requests), as its job sees it.
#[derive(Clone)]
pub struct Attempt {
    limits: Arc<LimitState>,
    index: u64,
    number: u32,
    started: Instant,
}

impl Attempt {
    pub(crate) fn new(limits: Arc<LimitState>, index: u64, number: u32, started: Instant) -> Self {
        Attempt { limits, index, number, started }
    }

    /// Returns the index of the item in its batch, from 0 on.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns the number of the attempt at this item, from 1 on.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns `true` if the outcome of this attempt is not needed, or will not count.
    ///
    /// The batch was cancelled, the executor was shut down, or a deadline of the item has passed.
    /// The time of an item counts from its first attempt.
    ///
    /// # Progress
    ///
    /// Wait-free: two loads and a reading of the clock.
    pub fn should_stop(&self) -> bool {
        self.limits.policy.should_stop(Some(self.started), Some(now()))
    }

    /// Returns the instant from which on the outcome does not count, by the deadlines of the item
    /// and of the batch. `None` without a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.limits.policy.deadline(self.started)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("index", &self.index)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
