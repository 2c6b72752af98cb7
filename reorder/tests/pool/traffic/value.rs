//! Values that carry the name of their position, and whose drops are counted.

use std::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The name of a position: the number of its batch in the run, and its index in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) batch: u32,
    pub(crate) index: u32,
}

impl Name {
    /// Returns a word that differs for each name and salt.
    fn mark(self, salt: u64) -> u64 {
        let word = u64::from(self.batch) << 32 | u64::from(self.index);
        (word ^ salt << 61).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29)
    }

    fn marks(self) -> [u64; 3] {
        [1, 2, 3].map(|salt| self.mark(salt))
    }
}

/// The numbers of values that were made and dropped.
#[derive(Default)]
pub(crate) struct DropCounts {
    made: AtomicU64,
    /// Values that were dropped after they had been delivered or returned.
    retrieved: AtomicU64,
    /// Values that a ring dropped.
    reclaimed: AtomicU64,
}

impl DropCounts {
    /// Returns the numbers of values made, retrieved and reclaimed.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.made, &self.retrieved, &self.reclaimed].map(|count| count.load(Relaxed))
    }
}

/// A value for one position. It has several words, which a torn copy would mix. One word is on the
/// heap, so that a second drop frees memory twice.
pub(crate) struct NamedValue {
    name: Name,
    marks: [u64; 3],
    boxed: Box<u64>,
    retrieved: bool,
    drops: Arc<DropCounts>,
}

impl NamedValue {
    pub(crate) fn new(name: Name, drops: &Arc<DropCounts>) -> Self {
        drops.made.fetch_add(1, Relaxed);
        let (marks, boxed) = (name.marks(), Box::new(name.mark(0)));
        NamedValue { name, marks, boxed, retrieved: false, drops: Arc::clone(drops) }
    }

    /// Drops a value that was delivered or returned. It must be the value of this position.
    #[track_caller]
    pub(crate) fn retrieve(mut self, name: Name) {
        assert_eq!(self.name, name, "a value of another position");
        self.retrieved = true;
    }

    fn is_whole(&self) -> bool {
        self.marks == self.name.marks() && *self.boxed == self.name.mark(0)
    }
}

impl Drop for NamedValue {
    fn drop(&mut self) {
        assert!(self.is_whole(), "a torn value, or a dropped one: {:?}", self.name);
        *self.boxed = !*self.boxed;
        let DropCounts { retrieved, reclaimed, .. } = &*self.drops;
        let counter = if self.retrieved { retrieved } else { reclaimed };
        counter.fetch_add(1, Relaxed);
    }
}
