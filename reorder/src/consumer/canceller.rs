//! A handle that cancels a batch.

use core::fmt;

use crate::ring::ring_ref::RingRef;
use crate::ring::space_request::SpaceRequest;

/// Cancels one batch from any thread. A later batch on the same ring is not affected.
///
/// [`Consumer::canceller`](crate::Consumer::canceller) returns it. A canceller does not keep the
/// batch open. The canceller of a shared ring keeps the ring alive.
#[derive(Clone)]
pub struct Canceller<R: RingRef> {
    ring: R,
    batch_number: u64,
}

impl<R: RingRef> Canceller<R> {
    pub(crate) fn new(ring: R, batch_number: u64) -> Self {
        Canceller { ring, batch_number }
    }

    /// Cancels the batch, unless it is cancelled already or over.
    ///
    /// Returns `true` if this call cancelled the batch. After the cancellation, the producer
    /// reserves no more positions. The consumer gets the positions that are ready at the head, and
    /// then `Cancelled`, unless the batch has ended. A side that waits is woken.
    ///
    /// ```
    /// # use reorder_ring::{ReserveError, Ring};
    /// # let ring = Ring::<u8>::with_capacity(1)?;
    /// let mut batch = ring.open()?;
    /// let canceller = batch.canceller();
    /// assert!(canceller.cancel());
    /// assert!(!canceller.cancel(), "it is cancelled already");
    /// assert_eq!(batch.reserve(), Err(ReserveError::Cancelled));
    ///
    /// drop(batch);
    /// let mut next = ring.open()?;
    /// assert!(!canceller.cancel(), "its own batch is over");
    /// assert!(next.reserve().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the waker of a waiting side panics. The batch is cancelled and the other side is
    /// woken nevertheless.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 1 load and 2 compare-and-swaps. Waking both sides is not
    /// counted.
    pub fn cancel(&self) -> bool {
        let cancelled = self.ring.batch_state.cancel(self.batch_number);
        if cancelled {
            // These may be wakers of the next batch, if this batch ends meanwhile. Every wait
            // registers its waker again before it sleeps, so a needless call costs that batch one
            // check.
            let _also = WakingProducer(&self.ring.space_request);
            self.ring.consumer_waker.wake();
        }
        cancelled
    }
}

/// Wakes the producer when it is dropped, even if the consumer's waker panics.
struct WakingProducer<'a>(&'a SpaceRequest);

impl Drop for WakingProducer<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl<R: RingRef> fmt::Debug for Canceller<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
