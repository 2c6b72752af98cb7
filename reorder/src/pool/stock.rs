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
use core::ptr::NonNull;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use crossbeam_utils::CachePadded;

use crate::errors::CapacityError;
use crate::pool::reclaim;
use crate::pool::stack::Stack;
use crate::pool::table::{PLACES, Table};
use crate::primitive::Ordering::Relaxed;
use crate::primitive::{self, AtomicU64, Life};
use crate::refusals::Counters;
use crate::ring::Ring;
use crate::slot::Slot;
use crate::storage::rounded_capacity;

/// One per power of two.
const CLASSES: usize = if cfg!(reorder_loom) { 2 } else { usize::BITS as usize };

/// How many idle rings a returning one may displace, of other sizes and of its own.
const DISPLACED: usize = 2;

pub(crate) struct Stock<T> {
    pub(crate) table: Table<T>,
    /// Idle rings, by the logarithm of their capacity.
    idle: [Stack; CLASSES],
    /// Places without a ring.
    vacant: Stack,
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
pub(crate) struct Pooled<T> {
    pub(crate) ring: Ring<T>,
    /// How many handles of the lease there are.
    pub(crate) holders: AtomicU64,
    /// The pool, of which each lease has a count.
    pub(crate) stock: *const Stock<T>,
    pub(crate) life: Life,
    place: u16,
}

impl<T> Pooled<T> {
    fn class(&self) -> usize {
        self.ring.capacity().ilog2() as usize
    }

    fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.ring.capacity() * size_of::<Slot<T>>()) as u64
    }

    /// Whether half of its positions are used up: whoever leases it next might run out of them.
    fn is_worn(&self) -> bool {
        self.ring.base() > self.ring.end() / 2
    }
}

impl<T> Stock<T> {
    pub(crate) fn new(idle_limit: u64, first_position: u64) -> Self {
        Stock {
            table: Table::new(),
            idle: core::array::from_fn(|_| Stack::empty()),
            vacant: Stack::empty(),
            idle_bytes: CachePadded::new(AtomicU64::new(0)),
            idle_limit,
            first_position,
            rings: AtomicU64::new(0),
            refusals: Counters::default(),
            owns: PhantomData,
        }
    }

    pub(crate) fn rings(&self) -> u64 {
        // ORDERING: stock:rings: Relaxed; a view.
        self.rings.load(Relaxed)
    }

    pub(crate) fn idle_bytes(&self) -> u64 {
        // ORDERING: stock:idle-bytes: Relaxed; a view, and a limit that need not be exact.
        self.idle_bytes.load(Relaxed)
    }

    /// A clean ring of this capacity, rounded up to a power of two.
    pub(crate) fn take(self: &Arc<Self>, capacity: usize) -> Result<Held<'_, T>, CapacityError> {
        let capacity = rounded_capacity::<T>(capacity)?;
        match self.take_idle(capacity.ilog2() as usize) {
            Some(held) => Ok(held),
            None => self.make(capacity),
        }
    }

    /// A clean ring from the stack of its size. Others that are met there stay.
    fn take_idle(&self, class: usize) -> Option<Held<'_, T>> {
        let mut others = Vec::new();
        while let Some(place) = self.idle[class].pop(&self.table) {
            let held = self.hold(place);
            let passed_over = match held.tidy() {
                true if held.pooled().is_worn() => held.retire().err(),
                true => return Some(held),
                false => Some(held),
            };
            others.extend(passed_over);
        }
        None
    }

    fn hold(&self, place: u16) -> Held<'_, T> {
        let held = Held { stock: self, pooled: self.table.at(place) };
        // ORDERING: stock:no-longer-idle: Relaxed; only the number matters.
        self.idle_bytes.fetch_sub(held.pooled().bytes(), Relaxed);
        held
    }

    fn make(self: &Arc<Self>, capacity: usize) -> Result<Held<'_, T>, CapacityError> {
        let place = self.vacant.pop(&self.table).or_else(|| self.table.new_place());
        let place = place.ok_or(CapacityError::TooManyRings { largest: PLACES })?;
        let ring = match Ring::named(capacity, self.first_position, place) {
            Ok(ring) => ring,
            Err(error) => {
                self.vacant.push(&self.table, place);
                return Err(error);
            }
        };
        let stock = Arc::as_ptr(self);
        let pooled = Pooled { ring, holders: AtomicU64::new(0), stock, life: Life::new(), place };
        let pooled = NonNull::from(Box::leak(Box::new(pooled)));
        self.table.put(place, pooled.as_ptr());
        // ORDERING: stock:made: Relaxed; only the number matters.
        self.rings.fetch_add(1, Relaxed);
        Ok(Held { stock: self, pooled })
    }

    /// Takes a ring back whose lease has ended, and retires idle ones if they are too many: other
    /// sizes first, for this one is in use. If that does not make room, it goes itself, so that many
    /// small rings need not go at once for a large one, and the limit holds all the same.
    pub(crate) fn put_back(&self, held: Held<'_, T>) {
        let class = held.pooled().class();
        drop(held);
        if self.idle_bytes() > self.idle_limit {
            let others = (0..CLASSES).rev().filter(|&other| other != class);
            self.retire(others, self.idle_limit, DISPLACED);
            self.retire([class], self.idle_limit, DISPLACED);
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
pub(crate) struct Held<'a, T> {
    stock: &'a Stock<T>,
    pooled: NonNull<Pooled<T>>,
}

impl<'a, T> Held<'a, T> {
    /// # Safety
    ///
    /// The ring belongs to this stock, its lease has ended, and nobody else holds it.
    pub(crate) unsafe fn new(stock: &'a Stock<T>, pooled: NonNull<Pooled<T>>) -> Self {
        Held { stock, pooled }
    }

    fn pooled(&self) -> &Pooled<T> {
        // SAFETY: it is freed by a retirement alone, which this right comes before.
        unsafe { self.pooled.as_ref() }
    }

    /// Closes what forgotten handles left open, and polls orphans. `false` if one is left.
    ///
    /// Runs the `Drop` of values; if that panics, the ring is idle.
    pub(crate) fn tidy(&self) -> bool {
        // SAFETY: handles borrow a lease or are counted in it, and it has ended. Nobody else opens
        // a ring that is held.
        unsafe { self.pooled().ring.tidy() }
    }

    /// The ring, for its lease.
    pub(crate) fn into_ring(self) -> NonNull<Pooled<T>> {
        ManuallyDrop::new(self).pooled
    }

    /// Frees a clean ring, unless too much waits to be freed.
    fn retire(self) -> Result<(), Self> {
        let bytes = self.pooled().bytes();
        if !reclaim::may_defer(bytes) {
            return Err(self);
        }
        let stock = self.stock;
        let place = self.pooled().place;
        stock.refusals.add(&self.pooled().ring.refusals);
        // ORDERING: stock:gone: Relaxed; only the number matters.
        stock.rings.fetch_sub(1, Relaxed);
        let pooled = self.into_ring();
        let guard = reclaim::pin();
        stock.table.clear(place);
        // SAFETY: it was hidden, and nobody but this holder has it. A clean ring holds no value
        // and no waker, so that freeing it touches nothing of `T`.
        unsafe { reclaim::defer(&guard, pooled, bytes, free) };
        guard.flush();
        drop(guard);
        stock.vacant.push(&stock.table, place);
        Ok(())
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        let pooled = self.pooled();
        // ORDERING: stock:idle: Relaxed; only the number matters. Before the ring can be taken, so
        // that the sum never wraps.
        self.stock.idle_bytes.fetch_add(pooled.bytes(), Relaxed);
        self.stock.idle[pooled.class()].push(&self.stock.table, pooled.place);
    }
}

/// # Safety
///
/// Nobody can reach the ring any more.
unsafe fn free<T>(pooled: NonNull<Pooled<T>>) {
    // SAFETY: passed on to the caller.
    unsafe { pooled.as_ref() }.life.end();
    // SAFETY: passed on to the caller; it was boxed when it was made.
    unsafe { primitive::free(pooled) };
}
