//! Items that wait for earlier items of their key.

use crate::primitive::{Mutex, lock};
use crate::unwind::discard;

/// Parked items, each by the slot of its ticket.
pub(crate) struct Parked<T>(Mutex<Vec<Option<T>>>);

impl<T> Parked<T> {
    pub(crate) fn new() -> Parked<T> {
        Parked(Mutex::new(Vec::new()))
    }

    /// Keeps an item. Called under the lock of the table that has the slot.
    pub(crate) fn put(&self, slot: u32, item: T) {
        let slot = slot as usize;
        let mut items = lock(&self.0);
        if items.len() <= slot {
            items.resize_with(slot + 1, || None);
        }
        items[slot] = Some(item);
    }

    /// Takes the item of a slot, if it is there.
    pub(crate) fn take(&self, slot: u32) -> Option<T> {
        lock(&self.0).get_mut(slot as usize)?.take()
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).iter().flatten().count()
    }

    /// Takes all items.
    pub(crate) fn take_all(&self) -> Vec<T> {
        lock(&self.0).drain(..).flatten().collect()
    }
}

impl<T> Drop for Parked<T> {
    fn drop(&mut self) {
        self.take_all().into_iter().for_each(discard);
    }
}
