//! The rings of a pool: which are there, which are idle, and who may touch them.
//!
//! ```text
//!   make ───► held ───► leased ───► held ───► idle, on the stack of its size
//!               ▲         (the last holder)     │
//!               └───────────────────────────────┘
//!   held, and clean ───► retired: hidden, then freed when no late ticket can be looking
//! ```
//!
//! Idle rings that were closed over an orphan stay on their stack, and are polled when they come up.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::num::NonZeroU64;
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

/// One per power of two.
const CLASSES: usize = if cfg!(reorder_loom) { 2 } else { usize::BITS as usize };

/// How many idle rings a returning one may displace, of other sizes and of its own.
const MAX_DISPLACED: usize = 2;

pub(crate) struct Inventory<T> {
    table: RingTable<PooledRing<T>>,
    /// Idle rings, by the logarithm of their capacity.
    idle: [FreeList; CLASSES],
    /// SlotLocator without a ring.
    unused_entries: FreeList,
    idle_bytes: CachePadded<AtomicU64>,
    idle_limit: u64,
    first_position: u64,
    rings: AtomicU64,
    /// What rings that are gone have refused, and what no ring could be found for.
    pub(crate) refusals: Counters,
    /// Values of `T` pass from thread to thread through the rings, and are dropped with them.
    owns: PhantomData<Ring<T>>,
}

/// A ring and what its pool has to know of it.
pub(crate) struct PooledRing<T> {
    pub(crate) ring: Ring<T>,
    /// How many handles of the lease there are.
    pub(crate) handles: AtomicU64,
    /// The pool, of which each lease has a count.
    pub(crate) inventory: *const Inventory<T>,
    alive: AliveCheck,
    entry: u16,
}

impl<T> PooledRing<T> {
    fn class(&self) -> usize {
        self.ring.capacity().ilog2() as usize
    }

    fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.ring.capacity() * size_of::<Slot<T>>()) as u64
    }

    /// Whether half of its positions are used up: whoever leases it next might run out of them.
    fn is_half_used(&self) -> bool {
        self.ring.base() > self.ring.end_of_positions() / 2
    }
}

impl<T> Inventory<T> {
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

    /// The ring with this identity, if it is one of these.
    pub(crate) fn find<'a>(&'a self, id: NonZeroU64, pinned: &'a Guard) -> Option<&'a Ring<T>> {
        let pooled = self.table.get(identity::entry(id), pinned)?;
        pooled.alive.check();
        (pooled.ring.id == id).then_some(&pooled.ring)
    }

    /// Visits every ring, while the guard exists.
    pub(crate) fn each<'a>(&'a self, pinned: &'a Guard) -> impl Iterator<Item = &'a Ring<T>> {
        self.table.each(pinned).map(|pooled| {
            pooled.alive.check();
            &pooled.ring
        })
    }

    pub(crate) fn rings(&self) -> u64 {
        // ORDERING: inventory:rings: Relaxed; a view.
        self.rings.load(Relaxed)
    }

    pub(crate) fn idle_bytes(&self) -> u64 {
        // ORDERING: inventory:idle-bytes: Relaxed; a view, and a limit that need not be exact.
        self.idle_bytes.load(Relaxed)
    }

    /// A clean ring of this capacity, rounded up to a power of two.
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

    /// A clean ring from the stack of its size. Others that are met there stay.
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

    fn hold(&self, entry: u16) -> HeldRing<'_, T> {
        let held = HeldRing { inventory: self, pooled: self.table.at(entry) };
        // ORDERING: inventory:no-longer-idle: Relaxed; only the number matters.
        self.idle_bytes.fetch_sub(held.pooled().bytes(), Relaxed);
        held
    }

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
        // ORDERING: inventory:made: Relaxed; only the number matters.
        self.rings.fetch_add(1, Relaxed);
        Ok(HeldRing { inventory: self, pooled })
    }

    /// Takes a ring back whose lease has ended, and retires idle ones if they are too many: other
    /// sizes first, for this one is in use. If that does not make room, it goes itself, so that many
    /// small rings need not go at once for a large one, and the limit holds all the same.
    pub(crate) fn put_back(&self, held: HeldRing<'_, T>) {
        let class = held.pooled().class();
        drop(held);
        if self.idle_bytes() > self.idle_limit {
            let others = (0..CLASSES).rev().filter(|&other| other != class);
            self.retire(others, self.idle_limit, MAX_DISPLACED);
            self.retire([class], self.idle_limit, MAX_DISPLACED);
        }
    }

    /// Retires idle rings until at most `bytes` are idle.
    pub(crate) fn trim(&self, bytes: u64) {
        self.retire((0..CLASSES).rev(), bytes, usize::MAX);
    }

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

/// The right to a ring that nobody leases. Dropping it makes the ring idle.
pub(crate) struct HeldRing<'a, T> {
    inventory: &'a Inventory<T>,
    pooled: NonNull<PooledRing<T>>,
}

impl<'a, T> HeldRing<'a, T> {
    /// # Safety
    ///
    /// The ring belongs to this inventory, its lease has ended, and nobody else holds it.
    pub(crate) unsafe fn new(inventory: &'a Inventory<T>, pooled: NonNull<PooledRing<T>>) -> Self {
        HeldRing { inventory, pooled }
    }

    fn pooled(&self) -> &PooledRing<T> {
        // SAFETY: it is freed by a retirement alone, which this right comes before.
        unsafe { self.pooled.as_ref() }
    }

    /// Closes what forgotten handles left open, and polls orphans. `false` if one is left.
    ///
    /// Runs the `Drop` of values; if that panics, the ring is idle.
    pub(crate) fn clean_up(&self) -> bool {
        // SAFETY: handles borrow a lease or are counted in it, and it has ended. Nobody else opens
        // a ring that is held.
        unsafe { self.pooled().ring.clean_up() }
    }

    /// The ring, for its lease.
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
        // ORDERING: inventory:gone: Relaxed; only the number matters.
        inventory.rings.fetch_sub(1, Relaxed);
        let pooled = self.into_ring();
        let guard = reclaim::pin();
        inventory.table.clear(entry);
        // SAFETY: it was hidden, and nobody but this holder has it. A clean ring holds no value
        // and no waker, so that freeing it touches nothing of `T`.
        unsafe { reclaim::defer(&guard, pooled, bytes, free) };
        guard.flush();
        drop(guard);
        inventory.unused_entries.push(&inventory.table, entry);
        Ok(())
    }
}

impl<T> Drop for HeldRing<'_, T> {
    fn drop(&mut self) {
        let pooled = self.pooled();
        // ORDERING: inventory:idle: Relaxed; only the number matters. Before the ring can be taken, so
        // that the sum never wraps.
        self.inventory.idle_bytes.fetch_add(pooled.bytes(), Relaxed);
        self.inventory.idle[pooled.class()].push(&self.inventory.table, pooled.entry);
    }
}

/// # Safety
///
/// Nobody can reach the ring any more.
unsafe fn free<T>(pooled: NonNull<PooledRing<T>>) {
    // SAFETY: passed on to the caller.
    unsafe { pooled.as_ref() }.alive.end();
    // SAFETY: passed on to the caller; it was boxed when it was made.
    unsafe { primitive::free(pooled) };
}
