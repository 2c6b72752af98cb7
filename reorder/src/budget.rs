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
use core::{fmt, mem};

use crate::errors::ReserveError;
use crate::producer::Producer;
use crate::ring::ring_ref::RingRef;
use crate::ticket::Ticket;
use crate::ticket::issuer::Issuer;

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
///         let space = budget.space_for(&producer, size);
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
/// [`fits`](Budget::fits), [`add`](Budget::add) and [`release_to`](Budget::release_to) need no
/// producer. So a budget can stand beside a [`Batch`](crate::Batch), or under a lock that several
/// threads share. Keep to this order:
///
/// 1. Release what was delivered, until the weight fits.
/// 2. Reserve the position.
/// 3. Add the weight.
///
/// A reservation may fail. A weight that was added before it would then count for an index that
/// does not exist, and all later weights for the index behind theirs.
///
/// ```
/// use reorder_ring::{Budget, Ring};
///
/// let ring = Ring::with_capacity(8)?;
/// let (mut batch, mut budget) = (ring.open()?, Budget::new(10));
/// for (index, weight) in [7, 3, 12, 1].into_iter().enumerate() {
///     while !budget.fits(weight) {
///         assert!(batch.try_next()?.outcome.is_ok());
///         budget.release_to(batch.delivered());
///     }
///     let ticket = batch.reserve()?;
///     budget.add(weight);
///     ring.complete(ticket, index)?;
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
    /// The ring and the first position of the batch, once a producer has shown them.
    batch: Option<(Issuer, u64)>,
}

impl Budget {
    /// Returns a budget for a new batch.
    ///
    /// A budget that is used with the producer of another batch starts again, without weights.
    /// Methods without a producer know no batch: there, use one budget for each batch.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access, and no allocation.
    pub const fn new(limit: u64) -> Budget {
        Budget { limit, weights: VecDeque::new(), first: 0, total: 0, batch: None }
    }

    /// Returns `true` if [`admit`](Budget::admit) would admit this weight.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn fits(&self, weight: u64) -> bool {
        self.fits_with(self.total, weight)
    }

    /// Returns `true` if the weight would fit after others were admitted, whose sum is `more`.
    ///
    /// So a thread that has made room finds out which of several weights fit together.
    ///
    /// ```
    /// # use reorder_ring::Budget;
    /// let mut budget = Budget::new(10);
    /// assert!(budget.admit(4));
    /// assert!(budget.fits_after(5, 1) && !budget.fits_after(5, 2));
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn fits_after(&self, more: u128, weight: u64) -> bool {
        self.fits_with(self.total.saturating_add(more), weight)
    }

    /// Returns `true` if the weight fits beside others with this total.
    fn fits_with(&self, total: u128, weight: u64) -> bool {
        total == 0 || total.saturating_add(weight.into()) <= self.limit.into()
    }

    /// Adds the weight of the next index if it fits. Returns `false` if not.
    ///
    /// Use it if the reservation cannot fail. Otherwise keep to the [order](Budget#by-hand) of
    /// `fits`, reservation and [`add`](Budget::add).
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

    /// Adds the weight of the next index, whether it fits or not.
    ///
    /// Call it once for each position that was reserved without the budget, in the order of the
    /// positions.
    ///
    /// # Progress
    ///
    /// As [`admit`](Budget::admit).
    pub fn add(&mut self, weight: u64) {
        self.weights.push_back(weight);
        self.total += u128::from(weight);
    }

    /// Changes the weight of an index, and returns the former weight. Returns `None`, and does
    /// nothing, if the index was released or is not admitted.
    ///
    /// So a value may count with another weight when it is ready, such as the size of a result.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn set(&mut self, index: u64, weight: u64) -> Option<u64> {
        let place = usize::try_from(index.checked_sub(self.first)?).ok()?;
        let former = mem::replace(self.weights.get_mut(place)?, weight);
        self.total = self.total - u128::from(former) + u128::from(weight);
        Some(former)
    }

    /// Releases the weights of all indices before `index`.
    ///
    /// Indices before `index` that have no weight yet get none. So the next weight is that of
    /// `index`, or of a later index.
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

    /// Returns the number of free positions for which a producer waits before it reserves a
    /// position of this weight.
    ///
    /// The number is from 1 to the ring's capacity. It is 1 if the weight fits already. If
    /// [`Producer::space`] is at least as great, [`reserve`](Budget::reserve) succeeds now.
    /// Otherwise wait for this number, by [`Producer::wait_for_space_many`],
    /// [`Producer::poll_space_many`] or [`Producer::wait_for_space_many_async`]. [`Budget`] has an
    /// example.
    ///
    /// To reserve in another way, such as [`Producer::permit`]:
    ///
    /// 1. Wait for this number of free positions.
    /// 2. Reserve the position.
    /// 3. [Add](Budget::add) the weight, before you call another method of the budget.
    ///
    /// At the end of the ring's life, fewer positions may be left than this number. Then the wait
    /// fails, and its error says that the positions are exhausted. A weight that fits can have the
    /// last position, too.
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load. Steps in the memory of the budget are not counted: one for each position
    /// of the window.
    pub fn space_for<R: RingRef>(&mut self, producer: &Producer<R>, weight: u64) -> usize {
        self.update(producer);
        if self.fits(weight) {
            return 1;
        }
        let mut total = self.total;
        let mut rest = self.weights.len();
        for known in &self.weights {
            if self.fits_with(total, weight) {
                break;
            }
            total -= u128::from(*known);
            rest -= 1;
        }
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

    /// Makes the budget one of the producer's batch: releases what was delivered, and gives each
    /// reserved position exactly one weight.
    fn update<R: RingRef>(&mut self, producer: &Producer<R>) {
        let batch = producer.batch_identity();
        if self.batch.is_some_and(|known| known != batch) {
            *self = Budget::new(self.limit);
        }
        self.batch = Some(batch);
        // A weight without a position does not count.
        while self.next() > producer.reserved() {
            match self.weights.pop_back() {
                Some(weight) => self.total -= u128::from(weight),
                None => self.first = 0,
            }
        }
        self.release_to(producer.delivered());
        (self.next()..producer.reserved()).for_each(|_| self.add(0));
    }

    /// Returns the index whose weight is added next.
    fn next(&self) -> u64 {
        self.first.saturating_add(self.weights.len() as u64)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { limit, total, .. } = self;
        f.debug_struct("Budget").field("limit", limit).field("total", total).finish_non_exhaustive()
    }
}
