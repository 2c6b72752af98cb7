//! Values that say for which position they were made, and are counted when they are dropped.

use std::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A batch of the whole run, and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) batch: u32,
    pub(crate) index: u32,
}

impl Name {
    /// A different word for each name and salt.
    fn mark(self, salt: u64) -> u64 {
        let word = u64::from(self.batch) << 32 | u64::from(self.index);
        (word ^ salt << 61).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29)
    }

    fn marks(self) -> [u64; 3] {
        [1, 2, 3].map(|salt| self.mark(salt))
    }
}

/// How many values were made and dropped.
#[derive(Default)]
pub(crate) struct Drops {
    made: AtomicU64,
    /// By somebody who had got them back.
    retrieved: AtomicU64,
    /// By a ring.
    reclaimed: AtomicU64,
}

impl Drops {
    /// Made, retrieved, reclaimed.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.made, &self.retrieved, &self.reclaimed].map(|count| count.load(Relaxed))
    }
}

/// A value for one position, of several words, which a torn copy would mix. One of them is on the heap, so
/// that a second drop is a second release of memory.
pub(crate) struct Stamped {
    name: Name,
    marks: [u64; 3],
    boxed: Box<u64>,
    retrieved: bool,
    drops: Arc<Drops>,
}

impl Stamped {
    pub(crate) fn new(name: Name, drops: &Arc<Drops>) -> Self {
        drops.made.fetch_add(1, Relaxed);
        let (marks, boxed) = (name.marks(), Box::new(name.mark(0)));
        Stamped { name, marks, boxed, retrieved: false, drops: Arc::clone(drops) }
    }

    /// The end of a value that came back or was delivered: it must be the one for this position.
    #[track_caller]
    pub(crate) fn retrieve(mut self, name: Name) {
        assert_eq!(self.name, name, "a value of another position");
        self.retrieved = true;
    }

    fn is_whole(&self) -> bool {
        self.marks == self.name.marks() && *self.boxed == self.name.mark(0)
    }
}

impl Drop for Stamped {
    fn drop(&mut self) {
        assert!(self.is_whole(), "a torn value, or a dead one: {:?}", self.name);
        *self.boxed = !*self.boxed;
        let Drops { retrieved, reclaimed, .. } = &*self.drops;
        let counter = if self.retrieved { retrieved } else { reclaimed };
        counter.fetch_add(1, Relaxed);
    }
}
