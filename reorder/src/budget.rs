//! The bound of the total weight of positions that were reserved and not delivered.
//!
//! Positions are reserved and delivered in order, so their weights stand in a queue:
//!
//! ```text
//!   index      4     5     6     7     8          limit 10
//!             ┌─────┬─────┬─────┬─────┐
//!   weight    │  3  │  0  │  4  │  2  │  5        total 9: the weight 5 does not fit,
//!             └─────┴─────┴─────┴─────┘           and fits after the delivery of index 4
//!               ▲                       ▲
//!               first: delivered next   reserved next
//! ```
//!
//! The owner of the budget alone changes it. It learns from the ring what was delivered. So the
//! consumer does nothing for a budget, and a producer that waits for room waits for space.

use alloc::collections::VecDeque;
use core::fmt;

use crate::errors::ReserveError;
use crate::producer::Producer;
use crate::ring::ring_ref::RingRef;
use crate::ticket::Ticket;

/// A bound of the total weight of the positions of one batch that are reserved and not delivered.
///
/// The ring bounds the number of outstanding values. If values differ in size, a budget bounds
/// their total size as well: in bytes, tokens, or any other unit.
///
/// * Positions are admitted in their order. A weight fits if the total stays within the limit.
/// * While the total is 0, any weight fits. So the head is always admitted, a value that is heavier
///   than the limit passes alone, and no value waits for ever.
/// * A position counts until the consumer has taken it, also as a gap. The value that the consumer
///   holds does not count.
///
/// The producer waits for room by [`space_for`](Budget::space_for), which turns a weight into a
/// number of free positions:
///
/// ```
/// # #[cfg(feature = "std")] {
/// use reorder_ring::{Budget, Ring};
///
/// let ring = Ring::with_capacity(64)?;
/// let (mut producer, mut consumer) = ring.open()?.split();
/// let consumed = std::thread::scope(|scope| {
///     let consuming = scope.spawn(move || {
///         let mut bytes = 0;
///         while let Ok(Some(delivery)) = consumer.next() {
///             bytes += delivery.outcome.map_or(0, |block: Vec<u8>| block.len());
///         }
///         bytes
///     });
///     // At most 4 KiB are outstanding, or one block.
///     let mut budget = Budget::new(4096);
///     for size in [100, 4000, 20, 9000, 1] {
///         let space = budget.space_for(&mut producer, size);
///         producer.wait_for_space_many(space, None)?;
///         let ticket = budget.reserve(&mut producer, size)?;
///         let ring = &ring;
///         scope.spawn(move || ring.complete(ticket, vec![0; size as usize]));
///     }
///     producer.finish();
///     Ok::<_, Box<dyn std::error::Error>>(consuming.join().expect("no panic"))
/// })?;
/// assert_eq!(consumed, 13_121);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In async code, [`Producer::wait_for_space_many_async`] or [`Producer::poll_space_many`] wait for
/// the same number.
///
/// # By hand
///
/// [`admit`](Budget::admit) and [`release_to`](Budget::release_to) need no producer. So a budget
/// can stand beside a [`Batch`](crate::Batch), or under a lock that several threads share:
///
/// ```
/// use reorder_ring::{Budget, Ring};
///
/// let ring = Ring::with_capacity(8)?;
/// let (mut batch, mut budget) = (ring.open()?, Budget::new(10));
/// for (index, weight) in [7, 3, 12, 1].into_iter().enumerate() {
///     while !budget.admit(weight) {
///         assert!(batch.try_next()?.outcome.is_ok());
///         budget.release_to(batch.delivered());
///     }
///     ring.complete(batch.reserve()?, index)?;
/// }
/// // 7 and 3 were taken for 12, and 12 for 1.
/// assert_eq!(batch.delivered(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Budget {
    limit: u64,
    /// The weights of the indices from `first` on.
    weights: VecDeque<u64>,
    first: u64,
    /// The sum of the weights. It fits for 2^64 of them.
    total: u128,
}

impl Budget {
    /// Returns a budget for a new batch. Each batch has a budget of its own.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access, and no allocation.
    pub const fn new(limit: u64) -> Budget {
        Budget { limit, weights: VecDeque::new(), first: 0, total: 0 }
    }

    /// Returns `true` if [`admit`](Budget::admit) would admit this weight.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn fits(&self, weight: u64) -> bool {
        self.fits_with(self.total, weight)
    }

    /// Returns `true` if the weight fits beside others with this total.
    fn fits_with(&self, total: u128, weight: u64) -> bool {
        total == 0 || total + u128::from(weight) <= u128::from(self.limit)
    }

    /// Admits the next index if its weight fits. Returns `false` if not.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access. The allocator is not counted: the queue of weights grows up to
    /// the number of outstanding positions.
    #[must_use = "a weight that does not fit was not added"]
    pub fn admit(&mut self, weight: u64) -> bool {
        let fits = self.fits(weight);
        if fits {
            self.add(weight);
        }
        fits
    }

    /// Adds the weight of the next index, also beyond the limit.
    ///
    /// # Progress
    ///
    /// As [`admit`](Budget::admit).
    pub fn add(&mut self, weight: u64) {
        self.weights.push_back(weight);
        self.total += u128::from(weight);
    }

    /// Changes the weight of an index, unless it was released or is not admitted.
    ///
    /// So a value may count with another weight when it is ready, such as the size of a result.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn set(&mut self, index: u64, weight: u64) {
        let place = index.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(known) = place.and_then(|place| self.weights.get_mut(place)) {
            self.total = self.total - u128::from(*known) + u128::from(weight);
            *known = weight;
        }
    }

    /// Releases the weights of all indices before `index`.
    ///
    /// An index that was not admitted has no weight. So after this call, the next index is at least
    /// `index`.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access. It takes a step for each weight that it releases.
    pub fn release_to(&mut self, index: u64) {
        while self.first < index {
            let Some(weight) = self.weights.pop_front() else {
                self.first = index;
                return;
            };
            self.total -= u128::from(weight);
            self.first += 1;
        }
    }

    /// Returns the number of free positions with which the next position may have this weight.
    ///
    /// The number is from 1 to the ring's capacity. If [`Producer::space`] is at least as great,
    /// [`reserve`](Budget::reserve) succeeds now. Otherwise wait for this number, by
    /// [`Producer::wait_for_space_many`], [`Producer::poll_space_many`] or
    /// [`Producer::wait_for_space_many_async`]. [`Budget`] has an example.
    ///
    /// To reserve in another way, such as [`Producer::permit`], wait first. After the reservation,
    /// call [`add`](Budget::add) once, and before any other method.
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load. Steps in the memory of the budget are not counted: one for each position
    /// of the window.
    pub fn space_for<R: RingRef>(&mut self, producer: &mut Producer<R>, weight: u64) -> usize {
        self.update(producer);
        let mut total = self.total;
        let mut rest = self.weights.len();
        for known in &self.weights {
            if self.fits_with(total, weight) {
                break;
            }
            total -= u128::from(*known);
            rest -= 1;
        }
        // While the window is full, even a weight that fits needs a position.
        producer.ring().capacity().saturating_sub(rest).max(1)
    }

    /// Reserves the next position if the weight fits. If not, it returns an error immediately.
    ///
    /// Positions that were reserved without the budget have no weight.
    ///
    /// # Errors
    ///
    /// As for [`Producer::reserve`]. [`ReserveError::Full`] also means that the weight does not
    /// fit. After an error, the budget is as before.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 3 loads and 1 store. It never blocks. Steps in the memory of the budget
    /// and the allocator are not counted, as for [`space_for`](Budget::space_for) and
    /// [`admit`](Budget::admit).
    pub fn reserve<R: RingRef>(
        &mut self,
        producer: &mut Producer<R>,
        weight: u64,
    ) -> Result<Ticket, ReserveError> {
        self.update(producer);
        if !self.fits(weight) {
            let cancelled = producer.is_cancelled().then_some(ReserveError::Cancelled);
            return Err(cancelled.unwrap_or(ReserveError::Full));
        }
        let ticket = producer.reserve()?;
        self.add(weight);
        Ok(ticket)
    }

    /// Releases what was delivered, and adds what was reserved without the budget.
    fn update<R: RingRef>(&mut self, producer: &Producer<R>) {
        self.release_to(producer.delivered());
        let next = self.first + self.weights.len() as u64;
        (next..producer.reserved()).for_each(|_| self.add(0));
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { limit, total, .. } = self;
        f.debug_struct("Budget").field("limit", limit).field("total", total).finish_non_exhaustive()
    }
}
