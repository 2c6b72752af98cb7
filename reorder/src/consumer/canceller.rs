//! Ending a batch from outside.

use core::fmt;

use crate::primitive::WakerCell;
use crate::ring::ring_ref::RingRef;

/// Cancels one batch from anywhere. A later batch on the same ring is not affected.
///
/// From [`Consumer::canceller`](crate::Consumer::canceller). It does not keep the batch open, but
/// one on a shared ring keeps the ring alive.
#[derive(Clone)]
pub struct Canceller<R: RingRef> {
    ring: R,
    batch_number: u64,
}

impl<R: RingRef> Canceller<R> {
    pub(crate) fn new(ring: R, batch_number: u64) -> Self {
        Canceller { ring, batch_number }
    }

    /// Cancels the batch, unless it was cancelled or is over. Tells whether this call did it.
    ///
    /// From then on the producer reserves nothing more, and the consumer gets what is ready at the
    /// head and then `Cancelled`, unless it has come to the end. Whichever side waits is woken.
    ///
    /// ```
    /// # use reorder_ring::{ReserveError, Ring};
    /// # let ring = Ring::<u8>::with_capacity(1)?;
    /// let mut batch = ring.open()?;
    /// let canceller = batch.canceller();
    /// assert!(canceller.cancel());
    /// assert!(!canceller.cancel(), "it was");
    /// assert_eq!(batch.reserve(), Err(ReserveError::Cancelled));
    ///
    /// drop(batch);
    /// let mut next = ring.open()?;
    /// assert!(!canceller.cancel(), "its own batch is over, and this is not it");
    /// assert!(next.reserve().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the waker of a waiting side panics. The batch is cancelled then, and the other side woken.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 1 load and 2 compare-and-swaps. Waking both sides comes on top.
    pub fn cancel(&self) -> bool {
        let cancelled = self.ring.batch_state.cancel(self.batch_number);
        if cancelled {
            // These may be the wakers of the next batch, if this one just ended: every wait
            // registers anew before it parks, so a waker used in vain costs it a look.
            let _also = Waking(&self.ring.producer_waker);
            self.ring.consumer_waker.wake();
        }
        cancelled
    }
}

/// Wakes one side even if the other side's waker panics.
struct Waking<'a>(&'a WakerCell);

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl<R: RingRef> fmt::Debug for Canceller<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
