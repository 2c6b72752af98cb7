//! What the parties do with the items: make and check them, and be slow.

use std::hint::black_box;

use reorder_ring::{Delivery, Ring, Tickets};

use crate::progress::Progress;

/// A run of reserved items, of which the first has this index.
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) tickets: Tickets,
}

/// What belongs to an index: not the index itself, so that a value at a wrong place is noticed.
fn value(index: u64) -> u64 {
    index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xa5a5
}

/// Completes a run in order.
pub(crate) fn complete(ring: &Ring<u64>, run: Run, progress: &Progress) {
    for (ticket, index) in run.tickets.zip(run.first..) {
        ring.complete(ticket, value(index)).expect("each ticket is completed once");
        progress.completed.set(index + 1);
    }
}

/// Completes runs in shuffled order.
pub(crate) struct Shuffler {
    random: Random,
    offsets: Vec<usize>,
    completed: u64,
}

impl Shuffler {
    pub(crate) fn new() -> Self {
        Shuffler { random: Random(2), offsets: Vec::new(), completed: 0 }
    }

    pub(crate) fn complete(&mut self, ring: &Ring<u64>, run: &Run, progress: &Progress) {
        self.offsets.clear();
        self.offsets.extend(0..run.tickets.len());
        for last in (1..self.offsets.len()).rev() {
            self.offsets.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        for &offset in &self.offsets {
            let ticket = run.tickets.get(offset).expect("the offset is within the run");
            let value = value(run.first + offset as u64);
            ring.complete(ticket, value).expect("each ticket is completed once");
            self.completed += 1;
            progress.completed.set(self.completed);
        }
    }
}

/// Checks each delivery against its turn.
pub(crate) struct Checker<'a> {
    expected: u64,
    progress: &'a Progress,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(progress: &'a Progress) -> Self {
        Checker { expected: 0, progress }
    }

    pub(crate) fn check(&mut self, delivery: Delivery<u64>) {
        assert_eq!(delivery.index, self.expected, "out of order");
        assert_eq!(
            delivery.outcome,
            Ok(value(self.expected)),
            "the value of index {}",
            self.expected
        );
        self.expected += 1;
        self.progress.delivered.set(self.expected);
    }

    pub(crate) fn end(self, items: u64) {
        assert_eq!(self.expected, items, "the batch ended early");
    }
}

/// Time spent on items: little on most, much on few, so that the other side waits for less than it
/// takes to fall asleep, for more, and for just as long.
pub(crate) struct Pace {
    random: Random,
    slow: bool,
}

impl Pace {
    /// Some 50 ns, where it was tried.
    const STEPS: u32 = 64;
    /// The longest is 2 to this power times that.
    const OCTAVES: u32 = 12;

    pub(crate) fn new(slow: bool) -> Self {
        Pace { random: Random(1), slow }
    }

    /// Every second item takes `STEPS`, every fourth twice as many, and so on.
    pub(crate) fn work(&mut self) {
        if !self.slow {
            return;
        }
        let octave = self.random.next().trailing_zeros().min(Self::OCTAVES);
        for _ in 0..Self::STEPS << octave {
            black_box(self.random.next());
        }
    }

    /// From 1 to `most`, any of them.
    pub(crate) fn count(&mut self, most: u64) -> u64 {
        1 + self.random.below(most)
    }
}

/// Xorshift: enough to be unlike in length and order.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `bound`, as good as evenly if that is small.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
