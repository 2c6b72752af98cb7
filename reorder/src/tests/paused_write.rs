//! A completer that stops between its claim and its publication, until the test goes on.

use core::task::Waker;

use super::{Claim, Gap, Slot, State, WakerCell};
use crate::ring::complete::wake;

/// A slot that is claimed and not published. If it is dropped, the slot stays `Writing`.
pub(crate) struct PausedWrite<'a, T> {
    claim: Claim<'a, T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    /// Does the first half of `complete`.
    pub(crate) fn hold(
        &self,
        generation: u64,
        consumer_waker: &WakerCell,
    ) -> Option<PausedWrite<'_, T>> {
        match self.claim(generation, State::Vacant, State::Writing) {
            Ok(claim) => Some(PausedWrite { claim, waker: None }),
            Err(seen) => {
                let (claim, waker) =
                    self.claim_waited(generation, seen, State::Writing, consumer_waker).ok()?;
                Some(PausedWrite { claim, waker })
            }
        }
    }
}

impl<T> Slot<T> {
    /// Does the first half of `leave_gap` of a slot that is `Waited`.
    #[cfg(feature = "std")]
    pub(crate) fn hold_gap(
        &self,
        generation: u64,
        gap: Gap,
        consumer_waker: &WakerCell,
    ) -> Option<PausedWrite<'_, T>> {
        let seen = self.peek();
        let (claim, waker) =
            self.claim_waited(generation, seen, gap.claimed(), consumer_waker).ok()?;
        Some(PausedWrite { claim, waker })
    }
}

impl<T> PausedWrite<'_, T> {
    /// Does the second half of `complete`.
    pub(crate) fn publish(self, value: T) {
        self.claim.publish_value(value);
        wake(self.waker);
    }

    /// Does the second half of `leave_gap`.
    pub(crate) fn publish_gap(self, gap: Gap) {
        self.claim.publish(gap.state());
        wake(self.waker);
    }
}
