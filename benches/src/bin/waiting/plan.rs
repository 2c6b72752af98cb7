//! The parameters of one run.

use std::fmt;

/// The form of the two sides.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Threads,
    Tasks,
}

/// The side that works on each item, so that the other side waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slow {
    Consumer,
    Producer,
}

/// The party that completes the positions that the producer reserves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completer {
    /// The producer itself, one item at a time and in order.
    Producer,
    /// A third thread or task, which receives chunks and shuffles each of them.
    Third,
}

#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) items: u64,
    pub(crate) slow: Slow,
    pub(crate) completer: Completer,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Threads => "threads",
            Kind::Tasks => "tasks",
        })
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Slow::Consumer => "slow consumer",
            Slow::Producer => "slow producer",
        })
    }
}

impl fmt::Display for Completer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Completer::Producer => "the producer",
            Completer::Third => "third, shuffled",
        })
    }
}
