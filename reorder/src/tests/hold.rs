//! A completer that stops between its claim and its publication, for as long as a test likes.

use core::task::Waker;

use super::{Claim, Gap, Slot, State, WakerCell};
use crate::settle::wake;

/// A claimed slot in mid-write. Dropped unpublished, it stays so for good.
pub(crate) struct Held<'a, T> {
    claim: Claim<'a, T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    /// The first half of `complete`, or of `give_up` of a waited slot.
    pub(crate) fn hold(&self, generation: u64, waiter: &WakerCell) -> Option<Held<'_, T>> {
        match self.claim(generation, State::Vacant) {
            Ok(claim) => Some(Held { claim, waker: None }),
            Err(seen) => {
                let (claim, waker) = self.claim_waited(generation, seen, waiter).ok()?;
                Some(Held { claim, waker })
            }
        }
    }
}

impl<T> Held<'_, T> {
    /// The second half of `complete`.
    pub(crate) fn publish(self, value: T) {
        self.claim.publish_value(value);
        wake(self.waker);
    }

    /// The second half of `give_up`.
    pub(crate) fn publish_gap(self, gap: Gap) {
        self.claim.publish(gap.state());
        wake(self.waker);
    }
}
