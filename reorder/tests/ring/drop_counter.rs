//! Values whose drops are counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// Makes values, and counts the drops of each.
#[derive(Clone, Default)]
pub(crate) struct DropCounter(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    /// The number of drops of each value, by its `id`.
    drops: Vec<u32>,
    alive: usize,
}

/// A value of a [`DropCounter`].
pub(crate) struct Counted {
    pub(crate) id: usize,
    counter: DropCounter,
}

impl DropCounter {
    /// Returns a new value.
    pub(crate) fn value(&self) -> Counted {
        let mut counts = self.counts();
        counts.drops.push(0);
        counts.alive += 1;
        Counted { id: counts.drops.len() - 1, counter: self.clone() }
    }

    pub(crate) fn is_dropped(&self, id: usize) -> bool {
        self.counts().drops[id] != 0
    }

    /// Returns the number of values that are not dropped yet.
    pub(crate) fn alive(&self) -> usize {
        self.counts().alive
    }

    #[track_caller]
    pub(crate) fn assert_each_dropped_once(&self) {
        let drops = &self.counts().drops;
        assert!(drops.iter().all(|&drops| drops == 1), "drops per value: {drops:?}");
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counter.counts();
        counts.drops[self.id] += 1;
        assert_eq!(counts.drops[self.id], 1, "value {} is dropped twice", self.id);
        counts.alive -= 1;
    }
}
