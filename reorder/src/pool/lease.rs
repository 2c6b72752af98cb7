//! The lease of a ring of a pool: a counted handle.

use core::fmt;
use core::ops::Deref;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

use alloc::sync::Arc;

use crate::batch::{self, Batch};
use crate::errors::Busy;
use crate::pool::inventory::{HeldRing, PooledRing};
use crate::primitive::Ordering::{AcqRel, Relaxed};
use crate::ring::Ring;
use crate::ring::ring_ref::{RingRef, sealed::Sealed};

/// A ring that is leased from a [`RingPool`](crate::RingPool). It returns to the pool when the last
/// clone of the lease is dropped.
///
/// It dereferences to its [`Ring`]. The handles of a batch borrow the lease if [`Ring::open`] opens
/// the batch. If [`open_owned`](Lease::open_owned) opens it, each handle is a clone of the lease
/// and keeps the ring leased. Batches can follow each other on one lease.
///
/// ```
/// use reorder_ring::RingPool;
///
/// let pool = RingPool::new();
/// let lease = pool.lease(4)?;
/// let mut batch = lease.open()?;
/// let (first, second) = (batch.reserve()?, batch.reserve()?);
/// // A completion through the lease is wait-free. `pool.complete` finds the ring by the ticket.
/// lease.complete(second, "second")?;
/// pool.complete(first, "first")?;
/// assert!(batch.drain_ready().map(|delivery| delivery.outcome).eq([Ok("first"), Ok("second")]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping the last clone closes a batch that was forgotten with `mem::forget`, and drops its
/// values. A forgotten batch that owns a clone of the lease keeps the ring leased for ever.
#[must_use = "dropping the lease returns the ring"]
pub struct Lease<T> {
    pooled: NonNull<PooledRing<T>>,
}

// SAFETY: a lease is a shared reference to a ring and to its pool, and the last handle may drop
// values of `T`. With `T: Send` this is sound, as it is for `Arc<Ring<T>>`.
unsafe impl<T: Send> Send for Lease<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lease<T> {}

// As for `Ring`.
impl<T> UnwindSafe for Lease<T> {}
impl<T> RefUnwindSafe for Lease<T> {}

impl<T> Lease<T> {
    /// Returns the first handle of a lease.
    pub(crate) fn new(held: HeldRing<'_, T>) -> Self {
        let lease = Lease { pooled: held.into_ring() };
        let pooled = lease.pooled();
        // ORDERING: lease:first: Relaxed; there is no other handle.
        pooled.handles.store(1, Relaxed);
        // SAFETY: the pointer came from the pool's `Arc`, and the caller has a reference to the
        // pool.
        unsafe { Arc::increment_strong_count(pooled.inventory) };
        lease
    }

    /// Opens a batch whose handles are clones of the lease, and can be `'static`.
    ///
    /// ```
    /// # use reorder_ring::RingPool;
    /// # let pool = RingPool::new();
    /// let (mut producer, mut consumer) = pool.lease(1)?.open_owned()?.split();
    /// let permit = producer.permit()?;
    /// std::thread::spawn(move || permit.complete('a')).join().expect("no panic")?;
    /// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Ring::open`]. The first batch of a lease can always be opened.
    ///
    /// # Panics
    ///
    /// As [`Ring::open`].
    ///
    /// # Progress
    ///
    /// As [`Ring::open`], and cloning the lease twice.
    pub fn open_owned(&self) -> Result<Batch<Lease<T>>, Busy> {
        batch::open(self.clone())
    }

    fn pooled(&self) -> &PooledRing<T> {
        // SAFETY: a leased ring is not retired, and the lease keeps the pool.
        unsafe { self.pooled.as_ref() }
    }
}

impl<T> Deref for Lease<T> {
    type Target = Ring<T>;

    #[inline]
    fn deref(&self) -> &Ring<T> {
        &self.pooled().ring
    }
}

impl<T> Clone for Lease<T> {
    fn clone(&self) -> Self {
        // ORDERING: lease:clone: Relaxed; the clone is made from a handle that exists. A counter of
        // 64 bits does not overflow.
        self.pooled().handles.fetch_add(1, Relaxed);
        Lease { pooled: self.pooled }
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        // ORDERING: lease:drop: AcqRel pairs with itself: the last handle sees the actions of the
        // others.
        if self.pooled().handles.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        // SAFETY: the lease had a count of the pool, which is taken over here.
        let inventory = unsafe { Arc::from_raw(self.pooled().inventory) };
        // SAFETY: this is the last handle of the lease.
        let held = unsafe { HeldRing::new(&inventory, self.pooled) };
        held.clean_up();
        inventory.put_back(held);
    }
}

impl<T> Sealed for Lease<T> {}

impl<T> RingRef for Lease<T> {
    type Value = T;
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}
