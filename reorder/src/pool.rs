//! Rings for many batches, and a way to them for tickets that come late.

mod free_list;
mod inventory;
mod lease;
mod reclaim;
mod ring_table;
#[cfg(all(test, not(reorder_loom)))]
#[path = "tests/pool.rs"]
mod tests;

use core::fmt;
use core::num::NonZeroU64;
use core::panic::{RefUnwindSafe, UnwindSafe};

use alloc::sync::Arc;

pub use lease::Lease;

use crate::errors::{CapacityError, Reason, Rejected, TicketError};
use crate::pool::inventory::Inventory;
use crate::ring::complete::wake;
use crate::ring::refusals::Refusals;
use crate::ticket::Ticket;

/// Rings for batches that come and go, of differing sizes and on any number of threads.
///
/// Each batch leases a ring of its own, so batches cannot mix. A ring that comes back is used again;
/// its tickets of earlier batches are refused. A thread that has a ticket and nothing else, such as
/// one that gets an answer long after its batch was given up, completes it through the pool.
///
/// ```
/// use reorder_ring::{Reason, RingPool};
///
/// let pool = RingPool::new();
/// let ticket = {
///     let lease = pool.lease(16)?;
///     let mut batch = lease.open()?;
///     batch.reserve()?
/// };
/// // Another batch has the ring by now, and does not see this.
/// let lease = pool.lease(16)?;
/// let mut batch = lease.open()?;
/// batch.reserve()?;
/// let late = pool.complete(ticket, "late").unwrap_err();
/// assert_eq!((late.reason, late.value), (Reason::Stale, "late"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory
///
/// A pool keeps idle rings up to a limit of bytes, and frees what comes back beyond it. Rings that
/// are freed are first hidden, and go when no thread can be within a call that has found them. If a
/// thread is stopped there, at most 8 MiB (or one ring, if that is larger) wait in the whole
/// process, and further rings stay idle above the limit. So a pool never has more than the rings
/// that were leased at one time, and those idle within its limit.
///
/// Clones share the pool. What it still has is freed when the last clone and the last lease are gone.
pub struct RingPool<T> {
    inventory: Arc<Inventory<T>>,
}

/// What a pool has. From [`RingPool::usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// How many rings there are, leased or idle.
    pub rings: usize,
    /// The size of the idle ones, in bytes.
    pub idle_bytes: usize,
    /// The size of rings that wait to be freed, in bytes; of all pools of the process together.
    pub deferred_bytes: usize,
}

impl<T> RingPool<T> {
    /// How many bytes of idle rings a pool keeps, unless told otherwise: 8 MiB.
    pub const IDLE_LIMIT: usize = 8 << 20;

    /// A pool without any ring yet.
    ///
    /// # Progress
    ///
    /// That of the allocator.
    pub fn new() -> Self {
        Self::with_idle_limit(Self::IDLE_LIMIT)
    }

    /// A pool that keeps at most so many bytes of idle rings.
    ///
    /// A ring takes some 750 bytes, and per slot those of [`Ring`](crate::Ring). With a limit of 0,
    /// every ring is freed when its lease ends.
    ///
    /// ```
    /// # use reorder_ring::RingPool;
    /// let pool = RingPool::<u64>::with_idle_limit(0);
    /// drop(pool.lease(1024)?);
    /// assert_eq!(pool.usage().rings, 0);
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// That of the allocator.
    pub fn with_idle_limit(bytes: usize) -> Self {
        RingPool { inventory: Arc::new(Inventory::new(bytes as u64, 0)) }
    }

    /// Leases a ring of at least `capacity` slots, rounded up to a power of two, on which no batch is
    /// open. The type and [`Lease`] have examples.
    ///
    /// # Errors
    ///
    /// As [`Ring::with_capacity`](crate::Ring::with_capacity); [`CapacityError::TooManyRings`] if the
    /// pool has 65,504 rings already.
    ///
    /// # Panics
    ///
    /// If the `Drop` of a value panics that a late completer left behind. The pool is usable.
    ///
    /// # Progress
    ///
    /// Lock-free: a compare-and-swap for each attempt on one stack; 4 steps for each slot of a ring
    /// with an orphan, which a late completer left behind. Without an idle ring of that size, the
    /// allocator makes one.
    pub fn lease(&self, capacity: usize) -> Result<Lease<T>, CapacityError> {
        self.inventory.take(capacity).map(Lease::new)
    }

    /// As [`Ring::complete`](crate::Ring::complete), on the ring of this pool that the ticket names.
    ///
    /// # Errors
    ///
    /// As there. A ticket of a ring that was freed since is [`Reason::Foreign`].
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// Lock-free: it pins an epoch, which registers the thread at its first use and frees memory now
    /// and then. The holder of a lease completes on its own ring, which is wait-free.
    pub fn complete(&self, ticket: Ticket, value: T) -> Result<(), Rejected<T>> {
        let guard = reclaim::pin();
        let completed = match self.inventory.find(ticket.ring, &guard) {
            Some(ring) => ring.complete_without_waking(ticket, value),
            None => Err(Rejected { reason: self.refuse_foreign(), value }),
        };
        drop(guard);
        wake(completed?);
        Ok(())
    }

    /// As [`Ring::evict`](crate::Ring::evict), on the ring of this pool that the ticket names.
    ///
    /// ```
    /// # use reorder_ring::{Gap, RingPool};
    /// # let pool = RingPool::<u8>::new();
    /// # let lease = pool.lease(1)?;
    /// # let mut batch = lease.open()?;
    /// let ticket = batch.reserve()?;
    /// pool.evict(ticket)?;
    /// assert_eq!(batch.try_next()?.outcome, Err(Gap::Evicted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As there, and as [`complete`](RingPool::complete).
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As [`complete`](RingPool::complete).
    pub fn evict(&self, ticket: Ticket) -> Result<(), Reason> {
        let guard = reclaim::pin();
        let evicted = match self.inventory.find(ticket.ring, &guard) {
            Some(ring) => ring.evict_without_waking(ticket),
            None => Err(self.refuse_foreign()),
        };
        drop(guard);
        wake(evicted?);
        Ok(())
    }

    /// As [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits), for the ring of this pool that
    /// the bits name.
    ///
    /// ```
    /// # use reorder_ring::{RingPool, TicketError};
    /// # let pool = RingPool::<u8>::new();
    /// # let lease = pool.lease(1)?;
    /// # let mut batch = lease.open()?;
    /// let ticket = batch.reserve()?;
    /// assert_eq!(pool.ticket_from_bits(ticket.to_bits()), Ok(ticket));
    /// assert_eq!(pool.ticket_from_bits(ticket.to_bits() ^ 1 << 127), Err(TicketError::Foreign));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As there. Bits that name a ring which was freed since are [`TicketError::Foreign`].
    ///
    /// # Progress
    ///
    /// As [`complete`](RingPool::complete).
    pub fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError> {
        let guard = reclaim::pin();
        let name = NonZeroU64::new((bits >> 64) as u64);
        let ring = name.and_then(|name| self.inventory.find(name, &guard));
        ring.ok_or(TicketError::Foreign)?.ticket_from_bits(bits)
    }

    /// Frees idle rings until at most `idle_bytes` are left, and what waits to be freed.
    ///
    /// What another thread may just be looking at goes later: with a later `trim`, or in passing.
    ///
    /// ```
    /// # use reorder_ring::RingPool;
    /// let pool = RingPool::<u64>::new();
    /// drop(pool.lease(1024)?);
    /// assert_eq!(pool.usage().rings, 1);
    /// pool.trim(0);
    /// assert_eq!(pool.usage().rings, 0);
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`lease`](RingPool::lease).
    ///
    /// # Progress
    ///
    /// Lock-free: it frees what is idle, one ring after the other.
    pub fn trim(&self, idle_bytes: usize) {
        self.inventory.trim(idle_bytes as u64);
        reclaim::collect();
    }

    /// What the pool has now.
    ///
    /// ```
    /// # use reorder_ring::RingPool;
    /// let pool = RingPool::<u64>::new();
    /// let (one, other) = (pool.lease(64)?, pool.lease(64)?);
    /// assert_eq!((pool.usage().rings, pool.usage().idle_bytes), (2, 0));
    /// drop(one);
    /// let again = pool.lease(64)?;
    /// assert_eq!(pool.usage().rings, 2, "the idle one was used");
    /// # drop((other, again));
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: 3 loads. They are not taken at one instant.
    pub fn usage(&self) -> PoolUsage {
        PoolUsage {
            rings: self.inventory.rings() as usize,
            idle_bytes: self.inventory.idle_bytes() as usize,
            deferred_bytes: reclaim::deferred() as usize,
        }
    }

    /// How many completions and evictions were refused, by reason: by the rings of the pool, those
    /// that are gone included, and by the pool itself.
    ///
    /// # Progress
    ///
    /// As [`complete`](RingPool::complete), and a constant number of loads for each place of the
    /// pool. They are not taken at one instant. A ring that is freed meanwhile may be counted twice
    /// or not at all.
    pub fn refusals(&self) -> Refusals {
        let guard = reclaim::pin();
        let rings = self.inventory.each(&guard).map(|ring| ring.refusals());
        rings.fold(self.inventory.refusals.read(), Refusals::plus)
    }

    #[cold]
    fn refuse_foreign(&self) -> Reason {
        self.inventory.refusals.count(Reason::Foreign);
        Reason::Foreign
    }
}

impl<T> Default for RingPool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for RingPool<T> {
    fn clone(&self) -> Self {
        RingPool { inventory: Arc::clone(&self.inventory) }
    }
}

// As for `Ring`.
impl<T> UnwindSafe for RingPool<T> {}
impl<T> RefUnwindSafe for RingPool<T> {}

impl<T> fmt::Debug for RingPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolUsage { rings, idle_bytes, .. } = self.usage();
        f.debug_struct("RingPool")
            .field("rings", &rings)
            .field("idle_bytes", &idle_bytes)
            .finish_non_exhaustive()
    }
}
