//! The bound of the total weight of items that were admitted and not taken.
//!
//! It is the [budget](reorder_ring::Budget) of the ring under a lock: pullers and senders admit
//! items, jobs change the weights of theirs, and the consumer releases what it has taken.

use std::mem;

use crate::primitive::{Mutex, lock};

pub(crate) struct Budget(Mutex<State>);

struct State {
    items: reorder_ring::Budget,
    /// The weight of the item that was refused last, if none was admitted since.
    refused: Option<u64>,
    /// `true` if an item became lighter since this was asked last.
    is_lightened: bool,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        let items = reorder_ring::Budget::new(limit);
        Budget(Mutex::new(State { items, refused: None, is_lightened: false }))
    }

    /// Admits the next item if it fits.
    pub(crate) fn admit(&self, weight: u64) -> bool {
        let mut state = lock(&self.0);
        let fits = state.items.admit(weight);
        state.refused = (!fits).then_some(weight);
        fits
    }

    /// Admits the next item, also beyond the limit.
    pub(crate) fn admit_anyway(&self, weight: u64) {
        let mut state = lock(&self.0);
        state.items.add(weight);
        state.refused = None;
    }

    /// Returns `true` if an item of this weight would be admitted.
    pub(crate) fn fits(&self, weight: u64) -> bool {
        lock(&self.0).items.fits(weight)
    }

    /// Returns `true` if this weight would be admitted after others, whose sum is `more`.
    pub(crate) fn fits_after(&self, more: u128, weight: u64) -> bool {
        lock(&self.0).items.fits_after(more, weight)
    }

    /// Returns `true` unless the item that was refused last would be refused again.
    pub(crate) fn has_room(&self) -> bool {
        let state = lock(&self.0);
        state.refused.is_none_or(|weight| state.items.fits(weight))
    }

    /// Changes the weight of an item, unless it was taken.
    pub(crate) fn set(&self, index: u64, weight: u64) {
        let mut state = lock(&self.0);
        let before = state.items.set(index, weight);
        state.is_lightened |= before.is_some_and(|before| weight < before);
    }

    /// Returns `true` if a changed weight has made room since the last call.
    pub(crate) fn take_lightened(&self) -> bool {
        mem::take(&mut lock(&self.0).is_lightened)
    }

    /// Notes that the items before `index` were taken. An outcome that stands for no item has no
    /// weight.
    pub(crate) fn take_to(&self, index: u64) {
        lock(&self.0).items.release_to(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heavy_item_passes_alone_and_weights_do_not_overflow() {
        let budget = Budget::new(10);
        assert!(budget.admit(0) && budget.admit(u64::MAX), "what is outstanding has no weight");
        assert!(!budget.admit(1) && !budget.has_room());
        budget.take_to(1);
        assert!(!budget.has_room());
        budget.take_to(2);
        assert!(budget.has_room() && budget.admit(1) && budget.admit(9));
        assert!(!budget.admit(1) && budget.admit(0));
        assert!(budget.fits(0) && !budget.fits(1) && !budget.fits(u64::MAX));
        for _ in 0..3 {
            budget.admit_anyway(u64::MAX);
        }
        budget.take_to(8);
        assert!(budget.fits(u64::MAX), "all were taken");
        assert!(budget.fits_after(4, 6) && !budget.fits_after(4, 7), "10 at most");
        assert!(budget.fits_after(0, 11) && !budget.fits_after(11, 0), "a heavy item is alone");
        let unbounded = Budget::new(u64::MAX);
        assert!(unbounded.admit(u64::MAX) && !unbounded.admit(1) && unbounded.admit(0));
    }

    #[test]
    fn a_changed_weight_counts_until_its_item_is_taken() {
        let budget = Budget::new(10);
        assert!(budget.admit(8) && budget.admit(2) && !budget.admit(4));
        assert!(!budget.take_lightened());
        budget.set(0, 4);
        assert!(budget.take_lightened() && !budget.take_lightened());
        assert!(budget.has_room() && budget.admit(4));
        budget.set(1, u64::MAX);
        budget.set(9, 7);
        assert!(!budget.take_lightened(), "nothing became lighter");
        budget.set(0, 3);
        budget.set(0, 4);
        assert!(budget.take_lightened(), "an item was lighter in between");
        assert!(!budget.fits(1));
        budget.take_to(1);
        budget.set(0, 5);
        assert!(!budget.fits(1));
        budget.take_to(2);
        assert!(budget.fits(6) && !budget.fits(7));
    }
}
