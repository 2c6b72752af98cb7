//! The start of a batch, and the clean-up of a ring for its pool.

use crate::errors::Busy;
use crate::ring::Ring;
use crate::ring::batch_state::Opened;
use crate::ring::close::Closing;

impl<T> Ring<T> {
    /// Opens the next batch and returns its number.
    pub(crate) fn start_batch(&self) -> Result<u64, Busy> {
        // The first round may find orphans of an earlier batch, and collects them. The second round
        // finds the ring free, or returns the error.
        for _ in 0..2 {
            match self.batch_state.try_open()? {
                Opened::Batch(number) => return Ok(number),
                // SAFETY: the ring is busy for this thread, and was closed with orphans.
                Opened::Orphans => unsafe { Closing::orphans(self) }.run(),
            }
        }
        Err(Busy::Orphaned)
    }

    /// Closes a batch that a forgotten handle left open, and collects orphans.
    ///
    /// Returns `false` if an orphan is left.
    ///
    /// # Safety
    ///
    /// No handle of the ring can be used, and no thread opens the ring meanwhile.
    #[cfg(feature = "pool")]
    pub(crate) unsafe fn clean_up(&self) -> bool {
        if self.batch_state.is_busy() {
            // SAFETY: the caller ensures that the sides cannot be used.
            unsafe { Closing::batch(self) }.run();
        }
        if self.batch_state.is_orphaned() {
            // SAFETY: the caller ensures that no other thread opens or closes the ring.
            unsafe { Closing::orphans(self) }.run();
        }
        !self.batch_state.is_orphaned()
    }
}
