//! A pool of rings for many batches. Late tickets find their ring by its identity.
//!
//! ```text
//!   RingPool ──► inventory ──┬── ring_table: entry number ──► ring       late tickets, pinned
//!      │                     ├── free lists of idle rings, by capacity
//!      ▼                     └── free list of unused entries
//!    Lease: a ring, counted          reclaim: frees rings when no pinned thread can access them
//! ```

mod free_list;
mod inventory;
mod lease;
mod reclaim;
mod ring_table;
#[cfg(all(test, not(reorder_loom)))]
#[path = "tests/pool.rs"]
mod tests;

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use alloc::sync::Arc;

pub use lease::Lease;

use crate::errors::{CapacityError, Reason, Rejected, TicketError};
use crate::pool::inventory::Inventory;
use crate::ring::complete::wake;
use crate::ring::refusals::Refusals;
use crate::ticket::Ticket;
use crate::ticket::issuer::Issuer;
use crate::ticket::ring_id::RingId;

/// Rings for many batches at a time, of different sizes and on any number of threads.
///
/// Each batch leases its own ring, so batches cannot mix. A ring is reused after its lease, and
/// refuses tickets of earlier batches. A thread that has a ticket but no lease completes the ticket
/// through the pool. For example, a reply may arrive long after its batch was dropped.
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
/// // Another batch has the ring now, and does not get the late value.
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
/// A pool keeps idle rings up to a limit in bytes, and frees idle rings above it. A ring is freed
/// when no call can access it any more. While a thread is stopped within a call, at most 8 MiB, or
/// one ring if that is larger, wait to be freed in the process. Further rings stay idle above the
/// limit, until the next lease ends after the stop. So a pool never has more than the rings that
/// were leased at one time, and the idle rings within its limit.
///
/// Under Miri, a program with a pool needs `MIRIFLAGS=-Zmiri-tree-borrows`. Miri's default model,
/// Stacked Borrows, reports the crate `crossbeam-epoch`, which the pool uses.
///
/// Clones share the pool. Its memory is freed when the last clone and the last lease are dropped. A
/// ring that a stopped thread may access is freed by a later call of any pool, or with any pool.
pub struct RingPool<T> {
    inventory: Arc<Inventory<T>>,
}

/// The memory of a pool. [`RingPool::usage`] returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// The number of rings, leased or idle.
    pub rings: usize,
    /// The size of the idle rings, in bytes.
    pub idle_bytes: usize,
    /// The size in bytes of the rings that wait to be freed. This number is for all pools of the
    /// process.
    pub deferred_bytes: usize,
}

impl<T> RingPool<T> {
    /// The default limit of idle rings, in bytes: 8 MiB.
    pub const IDLE_LIMIT: usize = 8 << 20;

    /// Returns a pool without rings, with the default limit of idle rings.
    ///
    /// # Progress
    ///
    /// As the allocator.
    pub fn new() -> Self {
        Self::with_idle_limit(Self::IDLE_LIMIT)
    }

    /// Returns a pool without rings, which keeps at most `bytes` of idle rings.
    ///
    /// A ring takes about 750 bytes, and its slots as described at [`Ring`](crate::Ring). With a
    /// limit of 0, every ring is freed when its lease ends.
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
    /// As the allocator.
    pub fn with_idle_limit(bytes: usize) -> Self {
        RingPool { inventory: Arc::new(Inventory::new(bytes as u64, 0)) }
    }

    /// Leases a ring of at least `capacity` slots, rounded up to a power of two.
    ///
    /// No batch is open on the ring. [`RingPool`] and [`Lease`] have examples.
    ///
    /// # Errors
    ///
    /// As for [`Ring::with_capacity`](crate::Ring::with_capacity), and
    /// [`CapacityError::TooManyRings`] if the pool has 65,504 rings already. If the allocator
    /// refuses the memory beside the slots, about 1 kB, the process aborts.
    ///
    /// # Panics
    ///
    /// Panics if the `Drop` of a late value panics: a completer wrote it after its batch was
    /// closed. The pool can be used as before.
    ///
    /// # Progress
    ///
    /// Lock-free: a compare-and-swap for each attempt on one free list; 4 steps for each slot of a
    /// ring with an orphan. Without an idle ring of that size, the allocator is called.
    pub fn lease(&self, capacity: usize) -> Result<Lease<T>, CapacityError> {
        self.inventory.take(capacity).map(Lease::new)
    }

    /// Completes the ticket's position with a value. The pool finds the ring that issued the
    /// ticket.
    ///
    /// # Errors
    ///
    /// As for [`Ring::complete`](crate::Ring::complete). A ticket of a ring that was freed is
    /// [`Reason::Foreign`].
    ///
    /// # Panics
    ///
    /// As [`Ring::complete`](crate::Ring::complete).
    ///
    /// # Progress
    ///
    /// Lock-free: it pins an epoch. The first pin of a thread registers it, and some pins free
    /// memory. A thread with the lease completes on the ring itself, which is wait-free.
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

    /// Evicts the ticket's position. The pool finds the ring that issued the ticket.
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
    /// As for [`Ring::evict`](crate::Ring::evict). A ticket of a ring that was freed is
    /// [`Reason::Foreign`].
    ///
    /// # Panics
    ///
    /// As [`Ring::evict`](crate::Ring::evict).
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

    /// Returns the ticket with these bits, if they belong to a ring of this pool.
    ///
    /// See [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits).
    ///
    /// ```
    /// # use reorder_ring::{RingPool, TicketError};
    /// # let pool = RingPool::<u8>::new();
    /// # let lease = pool.lease(1)?;
    /// # let mut batch = lease.open()?;
    /// let ticket = batch.reserve()?;
    /// assert_eq!(pool.ticket_from_bits(ticket.to_bits()), Ok(ticket));
    /// let damaged = pool.ticket_from_bits(ticket.to_bits() ^ 1 << 127);
    /// assert!(matches!(damaged, Err(TicketError::NotInPool { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TicketError::NotInPool`] if the bits belong to no ring of this pool, or to a ring that was
    /// freed. Otherwise as for [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits).
    ///
    /// # Progress
    ///
    /// As [`complete`](RingPool::complete).
    pub fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError> {
        let guard = reclaim::pin();
        let given = (bits >> 64) as u64;
        let issuer = RingId::try_from(given).ok().map(Issuer::made);
        let ring = issuer.and_then(|issuer| self.inventory.find(issuer, &guard));
        ring.ok_or(TicketError::NotInPool { given })?.ticket_from_bits(bits)
    }

    /// Returns `true` if the value of the ticket's position is still wanted. The pool finds the
    /// ring that issued the ticket.
    ///
    /// See [`Ring::is_wanted`](crate::Ring::is_wanted).
    ///
    /// ```
    /// # let pool = reorder_ring::RingPool::<u8>::new();
    /// # let lease = pool.lease(1)?;
    /// # let mut batch = lease.open()?;
    /// let ticket = batch.reserve()?;
    /// assert!(pool.is_wanted(ticket));
    /// drop(batch);
    /// assert!(!pool.is_wanted(ticket));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// As [`complete`](RingPool::complete).
    pub fn is_wanted(&self, ticket: Ticket) -> bool {
        let guard = reclaim::pin();
        self.inventory.find(ticket.ring, &guard).is_some_and(|ring| ring.is_wanted(ticket))
    }

    /// Frees idle rings until the idle rings that are left have at most `idle_bytes` bytes. Also
    /// frees the rings that wait to be freed.
    ///
    /// A ring that another thread may access at this moment is freed by a later call.
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
    /// Lock-free: it frees idle rings one after the other.
    pub fn trim(&self, idle_bytes: usize) {
        self.inventory.trim(idle_bytes as u64);
        reclaim::collect();
    }

    /// Returns the present memory of the pool.
    ///
    /// ```
    /// # use reorder_ring::RingPool;
    /// let pool = RingPool::<u64>::new();
    /// let (one, other) = (pool.lease(64)?, pool.lease(64)?);
    /// assert_eq!((pool.usage().rings, pool.usage().idle_bytes), (2, 0));
    /// drop(one);
    /// let again = pool.lease(64)?;
    /// assert_eq!(pool.usage().rings, 2, "the idle ring was leased again");
    /// # drop((other, again));
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: 3 loads, at different instants.
    pub fn usage(&self) -> PoolUsage {
        PoolUsage {
            rings: self.inventory.rings() as usize,
            idle_bytes: self.inventory.idle_bytes() as usize,
            deferred_bytes: reclaim::deferred() as usize,
        }
    }

    /// Returns the numbers of refused completions and evictions, by reason.
    ///
    /// They include refusals by rings that were freed, and by the pool itself.
    ///
    /// # Progress
    ///
    /// As [`complete`](RingPool::complete), and a constant number of loads for each entry of the
    /// pool, at different instants. The refusals of a ring that is freed meanwhile may be counted
    /// twice or not at all.
    pub fn refusals(&self) -> Refusals {
        let guard = reclaim::pin();
        let rings = self.inventory.each(&guard).map(|ring| ring.refusals());
        rings.fold(self.inventory.refusals.read(), Refusals::plus)
    }

    /// Counts the refusal of a ticket whose ring is not in the pool.
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
