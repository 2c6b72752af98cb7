//! A completer that stops between its claim and its publication, for as long as a test likes.

use core::task::Waker;

use super::{Claim, Gap, Slot, State, WakerCell};
use crate::ring::complete::wake;

/// A claimed slot in mid-write. Dropped unpublished, it stays so for good.
pub(crate) struct PausedWrite<'a, T> {
    claim: Claim<'a, T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    /// The first half of `complete`, or of `leave_gap` of a waited slot.
    pub(crate) fn hold(
        &self,
        generation: u64,
        consumer_waker: &WakerCell,
    ) -> Option<PausedWrite<'_, T>> {
        match self.claim(generation, State::Vacant) {
            Ok(claim) => Some(PausedWrite { claim, waker: None }),
            Err(seen) => {
                let (claim, waker) = self.claim_waited(generation, seen, consumer_waker).ok()?;
                Some(PausedWrite { claim, waker })
            }
        }
    }
}

impl<T> PausedWrite<'_, T> {
    /// The second half of `complete`.
    pub(crate) fn publish(self, value: T) {
        self.claim.publish_value(value);
        wake(self.waker);
    }

    /// The second half of `leave_gap`.
    pub(crate) fn publish_gap(self, gap: Gap) {
        self.claim.publish(gap.state());
        wake(self.waker);
    }
}
