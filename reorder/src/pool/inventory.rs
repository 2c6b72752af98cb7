//! The rings of a pool and their states.
//!
//! ```text
//!   make ───► held ───► leased ───► held ───► idle, on the free list of its capacity
//!               ▲        (last handle dropped)   │
//!               └────────────────────────────────┘
//!   held, and clean ───► retired: removed from the table, and freed when no pinned thread is left
//! ```
//!
//! An idle ring may have an orphan. The thread that pops it collects the orphan, or passes the ring
//! over.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use crossbeam_utils::CachePadded;

use crate::errors::CapacityError;
use crate::pool::free_list::FreeList;
use crate::pool::reclaim::{self, Guard};
use crate::pool::ring_table::{ENTRIES, RingTable};
use crate::primitive::Ordering::Relaxed;
use crate::primitive::{self, AliveCheck, AtomicU64};
use crate::ring::Ring;
use crate::ring::identity;
use crate::ring::refusals::Counters;
use crate::ring::slot::Slot;
use crate::ring::slots::rounded_capacity;
use crate::ticket::issuer::Issuer;

/// The number of capacities: one per power of two.
const CLASSES: usize = if cfg!(reorder_loom) { 2 } else { usize::BITS as usize };

/// The largest number of idle rings that a returned ring may displace, of other capacities and of
/// its own.
const MAX_DISPLACED: usize = 2;

/// The rings of a pool.
pub(crate) struct Inventory<T> {
    table: RingTable<PooledRing<T>>,
    /// The idle rings, by the logarithm of their capacity.
    idle: [FreeList; CLASSES],
    /// The entries without a ring.
    unused_entries: FreeList,
    idle_bytes: CachePadded<AtomicU64>,
    idle_limit: u64,
    first_position: u64,
    rings: AtomicU64,
    /// The refusals of rings that were freed, and of tickets whose ring was not found.
    pub(crate) refusals: Counters,
    /// The inventory owns rings, which send values of `T` between threads and drop them.
    owns: PhantomData<Ring<T>>,
}

/// A ring with the fields that its pool needs.
pub(crate) struct PooledRing<T> {
    pub(crate) ring: Ring<T>,
    /// The number of handles of the lease.
    pub(crate) handles: AtomicU64,
    /// The inventory of the pool. Each lease has a count of it.
    pub(crate) inventory: *const Inventory<T>,
    alive: AliveCheck,
    entry: u16,
}

impl<T> PooledRing<T> {
    /// Returns the logarithm of the capacity.
    fn class(&self) -> usize {
        self.ring.capacity().ilog2() as usize
    }

    /// Returns the size of the ring, in bytes.
    fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.ring.capacity() * size_of::<Slot<T>>()) as u64
    }

    /// Returns `true` if half of its positions are used up, so a later lease might exhaust them.
    fn is_half_used(&self) -> bool {
        self.ring.base() > self.ring.end_of_positions() / 2
    }
}

impl<T> Inventory<T> {
    /// Returns an inventory without rings. `first_position` is the first position of its rings.
    pub(crate) fn new(idle_limit: u64, first_position: u64) -> Self {
        Inventory {
            table: RingTable::new(),
            idle: core::array::from_fn(|_| FreeList::empty()),
            unused_entries: FreeList::empty(),
            idle_bytes: CachePadded::new(AtomicU64::new(0)),
            idle_limit,
            first_position,
            rings: AtomicU64::new(0),
            refusals: Counters::default(),
            owns: PhantomData,
        }
    }

    /// Returns the ring that issued such tickets, if the pool has it.
    pub(crate) fn find<'a>(&'a self, issuer: Issuer, pinned: &'a Guard) -> Option<&'a Ring<T>> {
        let pooled = self.table.get(identity::entry(issuer.id()), pinned)?;
        pooled.alive.check();
        (pooled.ring.issuer == issuer).then_some(&pooled.ring)
    }

    /// Returns an iterator over all rings.
    pub(crate) fn each<'a>(&'a self, pinned: &'a Guard) -> impl Iterator<Item = &'a Ring<T>> {
        self.table.each(pinned).map(|pooled| {
            pooled.alive.check();
            &pooled.ring
        })
    }

    /// Returns the number of rings.
    pub(crate) fn rings(&self) -> u64 {
        // ORDERING: inventory:rings: Relaxed; a view.
        self.rings.load(Relaxed)
    }

    /// Returns the size of the idle rings, in bytes.
    pub(crate) fn idle_bytes(&self) -> u64 {
        // ORDERING: inventory:idle-bytes: Relaxed; a view, and a limit that is not exact.
        self.idle_bytes.load(Relaxed)
    }

    /// Returns a clean ring of this capacity, rounded up to a power of two.
    pub(crate) fn take(
        self: &Arc<Self>,
        capacity: usize,
    ) -> Result<HeldRing<'_, T>, CapacityError> {
        let capacity = rounded_capacity::<T>(capacity)?;
        match self.take_idle(capacity.ilog2() as usize) {
            Some(held) => Ok(held),
            None => self.make(capacity),
        }
    }

    /// Returns a clean idle ring of this class. Other rings of the free list stay idle or are
    /// retired.
    fn take_idle(&self, class: usize) -> Option<HeldRing<'_, T>> {
        let mut others = Vec::new();
        while let Some(entry) = self.idle[class].pop(&self.table) {
            let held = self.hold(entry);
            let passed_over = match held.clean_up() {
                true if held.pooled().is_half_used() => held.retire().err(),
                true => return Some(held),
                false => Some(held),
            };
            others.extend(passed_over);
        }
        None
    }

    /// Returns the right to the idle ring of an entry that was popped.
    fn hold(&self, entry: u16) -> HeldRing<'_, T> {
        let held = HeldRing { inventory: self, pooled: self.table.at(entry) };
        // ORDERING: inventory:held: Relaxed; the number matters alone.
        self.idle_bytes.fetch_sub(held.pooled().bytes(), Relaxed);
        held
    }

    /// Makes a ring and puts it into the table.
    fn make(self: &Arc<Self>, capacity: usize) -> Result<HeldRing<'_, T>, CapacityError> {
        let entry = self.unused_entries.pop(&self.table).or_else(|| self.table.new_entry());
        let entry = entry.ok_or(CapacityError::TooManyRings { largest: ENTRIES })?;
        let ring = match Ring::for_entry(capacity, self.first_position, entry) {
            Ok(ring) => ring,
            Err(error) => {
                self.unused_entries.push(&self.table, entry);
                return Err(error);
            }
        };
        let inventory = Arc::as_ptr(self);
        let pooled = PooledRing {
            ring,
            handles: AtomicU64::new(0),
            inventory,
            alive: AliveCheck::new(),
            entry,
        };
        let pooled = NonNull::from(Box::leak(Box::new(pooled)));
        self.table.put(entry, pooled.as_ptr());
        // ORDERING: inventory:made: Relaxed; the number matters alone.
        self.rings.fetch_add(1, Relaxed);
        Ok(HeldRing { inventory: self, pooled })
    }

    /// Makes a ring idle after its lease, and retires idle rings above the limit.
    ///
    /// Rings of other capacities are retired first, since this capacity is in use. At most
    /// `MAX_DISPLACED` of them are, so a large ring does not displace many small ones at once. If
    /// that is not enough, rings of this capacity are retired, so the limit holds.
    ///
    /// The second round is for a ring that another thread made idle meanwhile. That thread could
    /// not retire it, because the memory of the first round was not freed yet.
    pub(crate) fn put_back(&self, held: HeldRing<'_, T>) {
        let class = held.pooled().class();
        drop(held);
        for _ in 0..2 {
            if self.idle_bytes() <= self.idle_limit {
                return;
            }
            let others = (0..CLASSES).rev().filter(|&other| other != class);
            self.retire(others, self.idle_limit, MAX_DISPLACED);
            self.retire([class], self.idle_limit, MAX_DISPLACED);
        }
    }

    /// Retires idle rings until at most `bytes` are idle.
    pub(crate) fn trim(&self, bytes: u64) {
        self.retire((0..CLASSES).rev(), bytes, usize::MAX);
    }

    /// Retires at most `most` rings of these classes, while more than `idle_bytes` are idle.
    fn retire(&self, classes: impl IntoIterator<Item = usize>, idle_bytes: u64, mut most: usize) {
        for class in classes {
            while most > 0 && self.idle_bytes() > idle_bytes {
                let Some(held) = self.take_idle(class) else { break };
                if held.retire().is_err() {
                    return;
                }
                most -= 1;
            }
        }
    }
}

impl<T> Drop for Inventory<T> {
    /// Frees what the pool has retired. Otherwise it would wait for the next pin of any thread.
    fn drop(&mut self) {
        reclaim::collect();
    }
}

/// The exclusive right to a ring that is not leased. Dropping it makes the ring idle.
pub(crate) struct HeldRing<'a, T> {
    inventory: &'a Inventory<T>,
    pooled: NonNull<PooledRing<T>>,
}

impl<'a, T> HeldRing<'a, T> {
    /// Returns the right to a ring whose lease has ended.
    ///
    /// # Safety
    ///
    /// The ring belongs to this inventory, its lease has ended, and no other thread holds it.
    pub(crate) unsafe fn new(inventory: &'a Inventory<T>, pooled: NonNull<PooledRing<T>>) -> Self {
        HeldRing { inventory, pooled }
    }

    fn pooled(&self) -> &PooledRing<T> {
        // SAFETY: only a retirement frees the ring, and it consumes this right.
        unsafe { self.pooled.as_ref() }
    }

    /// Closes a batch that was forgotten, and collects orphans. Returns `false` if an orphan is
    /// left.
    ///
    /// It runs the `Drop` of values. If a `Drop` panics, the ring becomes idle.
    pub(crate) fn clean_up(&self) -> bool {
        // SAFETY: handles borrow a lease or are counted in it, and the lease has ended. No other
        // thread opens a held ring.
        unsafe { self.pooled().ring.clean_up() }
    }

    /// Returns the ring without making it idle.
    pub(crate) fn into_ring(self) -> NonNull<PooledRing<T>> {
        ManuallyDrop::new(self).pooled
    }

    /// Frees a clean ring, unless too much waits to be freed.
    fn retire(self) -> Result<(), Self> {
        let bytes = self.pooled().bytes();
        if !reclaim::may_defer(bytes) {
            return Err(self);
        }
        let inventory = self.inventory;
        let entry = self.pooled().entry;
        inventory.refusals.add(&self.pooled().ring.refusals);
        // ORDERING: inventory:retired: Relaxed; the number matters alone.
        inventory.rings.fetch_sub(1, Relaxed);
        let pooled = self.into_ring();
        let guard = reclaim::pin();
        inventory.table.clear(entry);
        // SAFETY: the ring was removed from the table, and no other thread holds it. A clean ring
        // has no value and no waker, so freeing it accesses nothing of `T`.
        unsafe { reclaim::defer(&guard, pooled, bytes, free) };
        guard.flush();
        drop(guard);
        inventory.unused_entries.push(&inventory.table, entry);
        if reclaim::is_over_the_limit() {
            // No other ring can be retired before this one is freed.
            reclaim::collect();
        }
        Ok(())
    }
}

impl<T> Drop for HeldRing<'_, T> {
    fn drop(&mut self) {
        let pooled = self.pooled();
        // ORDERING: inventory:idle: Relaxed; the number matters alone. The ring is counted before
        // another thread can take it, so the sum never wraps.
        self.inventory.idle_bytes.fetch_add(pooled.bytes(), Relaxed);
        self.inventory.idle[pooled.class()].push(&self.inventory.table, pooled.entry);
    }
}

/// Frees a retired ring.
///
/// # Safety
///
/// No thread can access the ring.
unsafe fn free<T>(pooled: NonNull<PooledRing<T>>) {
    // SAFETY: passed on to the caller.
    unsafe { pooled.as_ref() }.alive.end();
    // SAFETY: passed on to the caller. The ring was boxed when it was made.
    unsafe { primitive::free(pooled) };
}
