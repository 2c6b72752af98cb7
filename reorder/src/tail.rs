//! How far the producer side has come: the word it stores.

/// Set by `finish`: no position follows.
const FINISHED: u64 = 1 << 63;
/// Set when the producer is dropped without `finish`.
const TRUNCATED: u64 = 1 << 62;

/// The end of a batch, as its producer declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Truncated,
}

/// The first position that is not reserved, in 61 bits, and whether and how the batch ended.
#[derive(Clone, Copy)]
pub(crate) struct Tail(u64);

impl Tail {
    pub(crate) const fn new(position: u64, end: End) -> Tail {
        Tail(match end {
            End::Finished => position | FINISHED,
            End::Truncated => position | TRUNCATED,
        })
    }

    pub(crate) const fn from_word(word: u64) -> Tail {
        Tail(word)
    }

    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    pub(crate) const fn position(self) -> u64 {
        self.0 & !(FINISHED | TRUNCATED)
    }

    pub(crate) const fn end(self) -> Option<End> {
        if self.0 & FINISHED != 0 {
            Some(End::Finished)
        } else if self.0 & TRUNCATED != 0 {
            Some(End::Truncated)
        } else {
            None
        }
    }
}
