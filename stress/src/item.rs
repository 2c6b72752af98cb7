//! The identity of an item of the executor's calls, and values that are counted.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::Random;

/// The number of values that are not dropped yet.
static ALIVE: AtomicU64 = AtomicU64::new(0);

/// The identity of an item: its call, and its index in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemId {
    /// The number of the call.
    pub call: u64,
    /// The index of the item in its call.
    pub index: usize,
}

impl ItemId {
    /// Returns a number below `bound` that depends on the item only. The numbers of neighbours are
    /// unrelated.
    pub fn random(self, bound: usize) -> usize {
        Random::new(self.call << 20 ^ self.index as u64).below(bound)
    }

    /// Returns `true` for one of 64 items.
    pub fn job_panics(self) -> bool {
        self.random(64) == 0
    }

    /// Works for a few nanoseconds in most items. Yields or sleeps in some.
    pub fn work(self) {
        match self.random(1000) {
            0 => thread::sleep(Duration::from_micros(100)),
            1..20 => thread::yield_now(),
            _ => {}
        }
    }
}

/// An item or a result. It is counted until it is dropped.
#[derive(Debug)]
pub struct Counted(ItemId);

impl Counted {
    /// Creates a value of the item.
    pub fn new(id: ItemId) -> Counted {
        ALIVE.fetch_add(1, SeqCst);
        Counted(id)
    }

    /// Returns the item of the value.
    pub fn id(&self) -> ItemId {
        self.0
    }

    /// Returns the number of values that are not dropped yet.
    pub fn alive() -> u64 {
        ALIVE.load(SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, SeqCst);
    }
}
