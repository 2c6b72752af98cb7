//! What one run does.

use std::fmt;

/// What the sides are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Threads,
    Tasks,
}

/// The side that works on each item. The other one waits for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slow {
    Consumer,
    Producer,
}

/// Who completes what the producer has reserved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completer {
    /// The producer itself, one item at a time, in order.
    Producer,
    /// A third thread or task, which gets runs of items and shuffles each.
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
            Completer::Third => "a third, mixed",
        })
    }
}
