//! The bound of the total weight of items that were admitted and not taken.
//!
//! Items are admitted in the order of their positions, and their outcomes are taken in that order.
//! So the weights stand in a queue. While nothing has a weight, any item is admitted: the head
//! always is, and an item that is heavier than the limit passes alone.

use std::collections::VecDeque;

use crate::primitive::{Mutex, lock};

pub(crate) struct Budget {
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The weights of the items that were admitted and not taken.
    weights: VecDeque<u64>,
    /// The index of the first of them.
    first: u64,
    /// Their sum. It fits for 2^64 items.
    total: u128,
    /// The weight of the item that was refused last, if none was admitted since.
    refused: Option<u64>,
}

impl State {
    fn fits(&self, weight: u64, limit: u64) -> bool {
        self.total == 0 || self.total + u128::from(weight) <= u128::from(limit)
    }

    fn push(&mut self, weight: u64) {
        self.weights.push_back(weight);
        self.total += u128::from(weight);
        self.refused = None;
    }
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, state: Mutex::new(State::default()) }
    }

    /// Admits the next item if it fits.
    pub(crate) fn admit(&self, weight: u64) -> bool {
        let mut state = lock(&self.state);
        let fits = state.fits(weight, self.limit);
        if fits {
            state.push(weight);
        } else {
            state.refused = Some(weight);
        }
        fits
    }

    /// Admits the next item, also beyond the limit.
    pub(crate) fn admit_anyway(&self, weight: u64) {
        lock(&self.state).push(weight);
    }

    /// Returns `true` if an item of this weight would be admitted.
    pub(crate) fn fits(&self, weight: u64) -> bool {
        lock(&self.state).fits(weight, self.limit)
    }

    /// Returns `true` unless the item that was refused last would be refused again.
    pub(crate) fn has_room(&self) -> bool {
        let state = lock(&self.state);
        state.refused.is_none_or(|weight| state.fits(weight, self.limit))
    }

    /// Changes the weight of an item, unless it was taken.
    pub(crate) fn set(&self, index: u64, weight: u64) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let place = index.checked_sub(state.first).and_then(|place| usize::try_from(place).ok());
        if let Some(known) = place.and_then(|place| state.weights.get_mut(place)) {
            state.total = state.total - u128::from(*known) + u128::from(weight);
            *known = weight;
        }
    }

    /// Notes that the items before `index` were taken.
    pub(crate) fn take_to(&self, index: u64) {
        let mut state = lock(&self.state);
        while state.first < index {
            // An outcome that stands for no item has no weight.
            let weight = state.weights.pop_front().unwrap_or(0);
            state.total -= u128::from(weight);
            state.first += 1;
        }
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
        let unbounded = Budget::new(u64::MAX);
        assert!(unbounded.admit(u64::MAX) && !unbounded.admit(1) && unbounded.admit(0));
    }

    #[test]
    fn a_changed_weight_counts_until_its_item_is_taken() {
        let budget = Budget::new(10);
        assert!(budget.admit(8) && budget.admit(2) && !budget.admit(4));
        budget.set(0, 4);
        assert!(budget.has_room() && budget.admit(4));
        budget.set(1, u64::MAX);
        budget.set(9, 7);
        assert!(!budget.fits(1));
        budget.take_to(1);
        budget.set(0, 5);
        assert!(!budget.fits(1));
        budget.take_to(2);
        assert!(budget.fits(6) && !budget.fits(7));
    }
}
