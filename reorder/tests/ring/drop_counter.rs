//! Values whose drops are counted.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// Makes values, and counts the drops of each.
#[derive(Clone, Default)]
pub(crate) struct DropCounter(Arc<Mutex<Vec<Drops>>>);

/// The number of drops of one value.
type Drops = Arc<AtomicU32>;

/// A value of a [`DropCounter`].
///
/// Its drop takes no lock. A lock would order the threads that pass the value, and hide from a
/// sanitizer that the ring does not.
pub(crate) struct Counted {
    pub(crate) id: usize,
    drops: Drops,
}

impl DropCounter {
    /// Returns a new value.
    pub(crate) fn value(&self) -> Counted {
        let mut values = self.values();
        let drops = Drops::default();
        values.push(Arc::clone(&drops));
        Counted { id: values.len() - 1, drops }
    }

    pub(crate) fn is_dropped(&self, id: usize) -> bool {
        self.values()[id].load(Relaxed) != 0
    }

    /// Returns the number of values that are not dropped yet.
    pub(crate) fn alive(&self) -> usize {
        self.values().iter().filter(|drops| drops.load(Relaxed) == 0).count()
    }

    #[track_caller]
    pub(crate) fn assert_each_dropped_once(&self) {
        let values = self.values();
        let drops: Vec<u32> = values.iter().map(|drops| drops.load(Relaxed)).collect();
        assert!(drops.iter().all(|&drops| drops == 1), "drops per value: {drops:?}");
    }

    fn values(&self) -> MutexGuard<'_, Vec<Drops>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let drops = self.drops.fetch_add(1, Relaxed) + 1;
        assert_eq!(drops, 1, "value {} is dropped twice", self.id);
    }
}
