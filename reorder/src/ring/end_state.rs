//! The end of a batch: a word that the producer stores once.
//!
//! | value | meaning |
//! |---|---|
//! | 0 | more positions may follow |
//! | 1 | the producer finished the batch |
//! | 2 | the producer was dropped without `finish` |
//!
//! The consumer loads it while the head is missing. `tail` has unused bits, but the producer stores
//! `tail` with every reservation. A consumer that polled `tail` would fetch its cache line each
//! time.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};

const OPEN: u64 = 0;
const FINISHED: u64 = 1;
const TRUNCATED: u64 = 2;

/// The end of a batch as the producer declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Truncated,
}

/// The word of the end.
pub(crate) struct EndState(AtomicU64);

impl EndState {
    /// Returns the word of a batch that has not ended.
    pub(crate) fn open() -> EndState {
        EndState(AtomicU64::new(OPEN))
    }

    /// Declares that no position follows.
    pub(crate) fn declare(&self, end: End) {
        let word = match end {
            End::Finished => FINISHED,
            End::Truncated => TRUNCATED,
        };
        // ORDERING: finish:end: Release pairs with `end:load`: the last position, and all that the
        // producer did before it declared the end, is visible to the consumer.
        self.0.store(word, Release);
    }

    /// Returns the end, if it was declared.
    pub(crate) fn get(&self) -> Option<End> {
        // ORDERING: end:load: Acquire pairs with `finish:end`.
        match self.0.load(Acquire) {
            OPEN => None,
            FINISHED => Some(End::Finished),
            // No other value is ever stored.
            _ => Some(End::Truncated),
        }
    }

    /// Resets the word for the next batch. The side that closes calls it.
    pub(crate) fn reopen(&self) {
        // ORDERING: close:end: Relaxed; `batch:close` publishes it to the next batch.
        self.0.store(OPEN, Relaxed);
    }
}
