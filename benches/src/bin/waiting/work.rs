//! The work of the parties on items: create them, check them, and be slow.

use std::hint::black_box;

use reorder_ring::{Delivery, Ring, Tickets};

use crate::progress::Progress;

/// Tickets of consecutive items.
pub(crate) struct Chunk {
    /// The index of the first item.
    pub(crate) first: u64,
    pub(crate) tickets: Tickets,
}

/// Returns the value of an item. It differs from the index, so a delivery that carries its index
/// as its value fails the check.
fn value(index: u64) -> u64 {
    index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xa5a5
}

/// Completes a chunk in order.
pub(crate) fn complete(ring: &Ring<u64>, chunk: Chunk, progress: &Progress) {
    for (ticket, index) in chunk.tickets.zip(chunk.first..) {
        ring.complete(ticket, value(index)).expect("each ticket is completed once");
        progress.completed.set(index + 1);
    }
}

/// Completes the items of each chunk in shuffled order.
pub(crate) struct Shuffler {
    random: Random,
    offsets: Vec<usize>,
    completed: u64,
}

impl Shuffler {
    pub(crate) fn new() -> Self {
        Shuffler { random: Random(2), offsets: Vec::new(), completed: 0 }
    }

    pub(crate) fn complete(&mut self, ring: &Ring<u64>, chunk: &Chunk, progress: &Progress) {
        self.offsets.clear();
        self.offsets.extend(0..chunk.tickets.len());
        for last in (1..self.offsets.len()).rev() {
            self.offsets.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        for &offset in &self.offsets {
            let ticket = chunk.tickets.get(offset).expect("the offset is within the chunk");
            let value = value(chunk.first + offset as u64);
            ring.complete(ticket, value).expect("each ticket is completed once");
            self.completed += 1;
            progress.completed.set(self.completed);
        }
    }
}

/// Checks the index and the value of each delivery.
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

/// The load of the slow side: little work on most items, much on few.
///
/// So some waits of the other side are shorter than the time to fall asleep, some are as long, and
/// some are longer.
pub(crate) struct Load {
    random: Random,
    slow: bool,
}

impl Load {
    /// The least work on an item: some 50 ns on the machine where it was measured.
    const STEPS: u32 = 64;
    /// The most work on an item is `STEPS << OCTAVES`.
    const OCTAVES: u32 = 12;

    pub(crate) fn new(slow: bool) -> Self {
        Load { random: Random(1), slow }
    }

    /// Works on an item if the side is slow. Half of the items take `STEPS`, a quarter take twice
    /// as many, and so on.
    pub(crate) fn work(&mut self) {
        if !self.slow {
            return;
        }
        let octave = self.random.next().trailing_zeros().min(Self::OCTAVES);
        for _ in 0..Self::STEPS << octave {
            black_box(self.random.next());
        }
    }

    /// Returns a random number from 1 to `most`.
    pub(crate) fn random_count(&mut self, most: u64) -> u64 {
        1 + self.random.below(most)
    }
}

/// An xorshift generator, which is random enough for lengths and orders.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `bound`. The numbers are nearly uniform if `bound` is small.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
