//! How a batch ended: a word that its producer stores once, and the consumer looks at while its head is
//! missing.
//!
//! A word of its own, though `tail` had bits to spare: a consumer that polls would take the line of `tail`
//! from the producer with every look, and the producer stores there with every reservation.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};

const OPEN: u64 = 0;
const FINISHED: u64 = 1;
const TRUNCATED: u64 = 2;

/// The end of a batch, as its producer declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Truncated,
}

pub(crate) struct EndWord(AtomicU64);

impl EndWord {
    pub(crate) fn open() -> EndWord {
        EndWord(AtomicU64::new(OPEN))
    }

    /// Says that no position follows.
    pub(crate) fn declare(&self, end: End) {
        let word = match end {
            End::Finished => FINISHED,
            End::Truncated => TRUNCATED,
        };
        // ORDERING: finish:end: Release pairs with `end:load`: the consumer sees the last position,
        // and what the producer did before it declared the end.
        self.0.store(word, Release);
    }

    /// The end, if it was declared.
    pub(crate) fn get(&self) -> Option<End> {
        // ORDERING: end:load: Acquire pairs with `finish:end`.
        match self.0.load(Acquire) {
            OPEN => None,
            FINISHED => Some(End::Finished),
            // Nothing else is ever stored.
            _ => Some(End::Truncated),
        }
    }

    /// For the next batch. By the side that closes.
    pub(crate) fn reopen(&self) {
        // ORDERING: close:end: Relaxed; the next batch gets it by `lease:release`.
        self.0.store(OPEN, Relaxed);
    }
}
