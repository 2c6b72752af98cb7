//! The operations of a thread on its own batch.

use std::thread;
use std::time::Duration;

use super::exchange::{Handle, IssuedTicket};
use super::open_batch::{KnownOutcome, OpenBatch};
use super::test_thread::TestThread;
use super::value::Name;
use super::{LARGEST, State};
use reorder_ring::{Gap, NextTimeoutError, Reason, ReserveError, TryNextError};

impl TestThread<'_> {
    /// Leases a ring and opens a batch on it. Then fills, takes and closes the batch.
    pub(super) fn own(&mut self, number: u32) {
        // Seven of eight batches use the pool under test.
        let pool = usize::from(self.random.once_in(8));
        let class = 1 << self.random.below(LARGEST.ilog2() as usize + 1);
        let capacity = class - self.random.below(class / 2 + 1);
        let lease = self.traffic.pools[pool].lease(capacity).unwrap();
        let mut open = OpenBatch::new(number, pool, &lease);
        // The lease is dropped before the batch, or after it.
        let lease = Some(lease).filter(|_| self.random.once_in(2));
        if self.random.once_in(4) {
            let canceller = open.consumer.canceller();
            self.leave_handle(Handle::Canceller(number, canceller));
        }
        let items = 1 + self.random.below(2 * class);
        let filled = (0..items).try_for_each(|_| self.put(&mut open));
        self.close(open, filled.is_err());
        drop(lease);
        self.record_usage(pool);
    }

    /// Reserves a position. If the window is full, takes others first to make space.
    fn put(&mut self, open: &mut OpenBatch) -> Result<(), ReserveError> {
        if open.is_full() || self.random.once_in(64) {
            self.make_space(open);
        }
        self.reserve(open).inspect_err(|error| assert_eq!(*error, ReserveError::Cancelled))
    }

    /// Reserves a position. Then completes or evicts it, keeps its ticket for later, or leaves the
    /// ticket in the exchange. Half of the tickets are used late, twice, or on the wrong ring or
    /// pool.
    fn reserve(&mut self, open: &mut OpenBatch) -> Result<(), ReserveError> {
        let name = open.name(open.producer.reserved());
        let way = self.random.below(16);
        if way < 3 {
            return self.permit(open, name, way);
        }
        let ticket = open.producer.reserve()?;
        open.reserved();
        let issued = IssuedTicket { name, ticket, pool: open.pool };
        open.last_issued = Some(issued);
        match way {
            3..9 => open.kept.push(issued),
            9 | 10 => (0..2).for_each(|_| self.complete_own(open, issued)),
            11 => {
                self.complete_own(open, issued);
                self.leave(issued, open);
            }
            12 => {
                let answer = self.evict(name, || open.consumer.ring().evict(ticket));
                assert_eq!(answer, Ok(()), "no other thread has this ticket");
                open.know(name, KnownOutcome::Gap(Gap::Evicted));
                self.complete_own(open, issued);
            }
            13 => {
                self.use_on_wrong_ring(issued, None);
                open.kept.push(issued);
            }
            _ => self.leave(issued, open),
        }
        Ok(())
    }

    fn permit(&mut self, open: &mut OpenBatch, name: Name, way: usize) -> Result<(), ReserveError> {
        let permit = open.producer.permit()?;
        assert_eq!(permit.index(), u64::from(name.index));
        open.reserved();
        match way {
            0 => {
                let answer = self.complete(name, |value| permit.complete(value));
                open.completed(name, answer);
            }
            1 => {
                drop(permit);
                open.know(name, KnownOutcome::Gap(Gap::Abandoned));
                if let Some(issued) = open.ticket_of_permit(name) {
                    self.complete_own(open, issued);
                }
            }
            _ => self.leave_handle(Handle::Permit(name, permit)),
        }
        Ok(())
    }

    /// Completes a position of the own batch: through the lease, through the pool, or by its bits.
    fn complete_own(&mut self, open: &mut OpenBatch, issued: IssuedTicket) {
        let IssuedTicket { name, ticket, .. } = issued;
        let pool = &self.traffic.pools[open.pool];
        let answer = match self.random.below(8) {
            0 => self.through_bits(issued),
            1..4 => self.complete(name, |value| pool.complete(ticket, value)),
            _ => self.complete(name, |value| open.consumer.ring().complete(ticket, value)),
        };
        open.completed(name, answer);
    }

    fn complete_kept(&mut self, open: &mut OpenBatch) {
        while !open.kept.is_empty() {
            let issued = open.kept.swap_remove(self.random.below(open.kept.len()));
            self.complete_own(open, issued);
        }
    }

    /// Takes all ready positions. If the window is full, takes at least one, and evicts the head
    /// for that if it is missing.
    fn make_space(&mut self, open: &mut OpenBatch) {
        if !self.random.once_in(4) {
            self.complete_kept(open);
        }
        while self.take_ready(open) == TryNextError::Pending && open.is_full() {
            self.unblock(open);
        }
    }

    fn take_ready(&mut self, open: &mut OpenBatch) -> TryNextError {
        loop {
            match open.consumer.try_next() {
                Ok(delivery) => self.count_delivery(open.delivered(delivery)),
                Err(why) => return why,
            }
        }
    }

    fn count_delivery(&mut self, is_value: bool) {
        self.answers.delivered += u64::from(is_value);
        self.answers.gaps += u64::from(!is_value);
    }

    /// Waits for the head of line for a short time, yields, or evicts the head.
    fn unblock(&mut self, open: &mut OpenBatch) {
        match self.random.below(128) {
            0 => match open.consumer.next_timeout(Duration::from_micros(50)) {
                Ok(Some(delivery)) => self.count_delivery(open.delivered(delivery)),
                Err(NextTimeoutError::Timeout | NextTimeoutError::Cancelled) => {}
                over => panic!("batch {} is over: {:?}", open.number, over.map(drop)),
            },
            1..8 => thread::yield_now(),
            _ => self.evict_head(open),
        }
    }

    fn evict_head(&mut self, open: &mut OpenBatch) {
        let name = open.name(open.consumer.delivered());
        match self.evict(name, || open.consumer.evict_head()) {
            Ok(()) => open.know(name, KnownOutcome::Gap(Gap::Evicted)),
            // Another thread is writing, or has completed or evicted the position.
            Err(Reason::Duplicate | Reason::Evicted | Reason::Abandoned) => {}
            Err(reason) => panic!("the head of line is {reason:?}"),
        }
    }

    /// Closes the batch in one of several ways. Then completes the tickets that were kept, too
    /// late.
    fn close(&mut self, mut open: OpenBatch, is_cancelled: bool) {
        if self.random.once_in(2) {
            self.complete_kept(&mut open);
        }
        match self.random.below(4) {
            0 => _ = open.consumer.canceller().cancel(),
            1 if !is_cancelled => self.take_all(&mut open),
            _ => _ = self.take_ready(&mut open),
        }
        let OpenBatch { number, producer, mut consumer, kept, .. } = open;
        self.traffic.set_state(number, State::Closing);
        match self.random.below(3) {
            0 => {
                drop(consumer);
                producer.finish();
            }
            1 => {
                drop(producer);
                let end = consumer.try_next().err();
                assert_ne!(end, Some(TryNextError::Ended), "its producer did not finish");
                drop(consumer);
            }
            _ => {
                producer.finish();
                drop(consumer);
            }
        }
        self.traffic.set_state(number, State::Closed);
        for issued in kept {
            let pool = &self.traffic.pools[issued.pool];
            let answer = self.complete(issued.name, |value| pool.complete(issued.ticket, value));
            assert!(answer.is_err());
        }
    }

    /// Takes all reserved positions, unless the batch is cancelled meanwhile.
    fn take_all(&mut self, open: &mut OpenBatch) {
        while self.take_ready(open) == TryNextError::Pending
            && open.consumer.delivered() < open.producer.reserved()
        {
            self.unblock(open);
        }
    }
}
