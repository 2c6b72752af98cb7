//! A handle to a ring of a pool, counted.

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

/// A ring that is leased from a [`RingPool`](crate::RingPool). It goes back when the last clone of
/// the lease is dropped.
///
/// It dereferences to its [`Ring`]. Handles of a batch can borrow it, with [`Ring::open`], or each be
/// a clone of it, with [`open_owned`](Lease::open_owned); then they keep the ring leased. Several
/// batches can follow each other on one lease.
///
/// ```
/// use reorder_ring::RingPool;
///
/// let pool = RingPool::new();
/// let lease = pool.lease(4)?;
/// let mut batch = lease.open()?;
/// let (first, second) = (batch.reserve()?, batch.reserve()?);
/// // On its own lease a completion is wait-free; `pool.complete` would find the ring by itself.
/// lease.complete(second, "second")?;
/// pool.complete(first, "first")?;
/// assert!(batch.drain_ready().map(|delivery| delivery.outcome).eq([Ok("first"), Ok("second")]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping the last clone closes what a forgotten batch left open, with its values; so forgetting a
/// batch that borrows a lease costs nothing. One that owns a clone keeps its ring for good.
#[must_use = "dropping the lease gives the ring back"]
pub struct Lease<T> {
    pooled: NonNull<PooledRing<T>>,
}

// SAFETY: a lease is a shared reference to a ring and to its pool, and the last one may drop values
// of `T`. All of that is sound for `T: Send`, as it is for `Arc<Ring<T>>`.
unsafe impl<T: Send> Send for Lease<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lease<T> {}

// As for `Ring`.
impl<T> UnwindSafe for Lease<T> {}
impl<T> RefUnwindSafe for Lease<T> {}

impl<T> Lease<T> {
    pub(crate) fn new(held: HeldRing<'_, T>) -> Self {
        let lease = Lease { pooled: held.into_ring() };
        let pooled = lease.pooled();
        // ORDERING: lease:first: Relaxed; there is no other handle yet.
        pooled.handles.store(1, Relaxed);
        // SAFETY: the pointer came from the pool's `Arc`, which is there, for it is being asked.
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
    /// As [`Ring::open`]; never for the first batch of a lease.
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
        // SAFETY: a ring that is leased is not retired, and its pool is kept by the lease.
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
        // ORDERING: lease:clone: Relaxed; a handle is made from one that is there. 64 bits cannot
        // be counted up to their end.
        self.pooled().handles.fetch_add(1, Relaxed);
        Lease { pooled: self.pooled }
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        // ORDERING: lease:drop: AcqRel pairs with itself: the last one sees what the others did.
        if self.pooled().handles.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        // SAFETY: the lease counted the pool, and this ends it.
        let inventory = unsafe { Arc::from_raw(self.pooled().inventory) };
        // SAFETY: the last handle of the lease is going.
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
