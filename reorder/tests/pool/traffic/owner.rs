//! What a thread does with a batch of its own.

use std::thread;
use std::time::Duration;

use super::actor::Actor;
use super::open::{Fate, Open};
use super::post::{Handle, Letter};
use super::value::Name;
use super::{LARGEST, State};
use reorder_ring::{Gap, NextTimeoutError, Reason, ReserveError, TryNextError};

impl Actor<'_> {
    /// Leases a ring and opens a batch on it; fills, takes and closes.
    pub(super) fn own(&mut self, number: u32) {
        // Mostly on the pool under test.
        let pool = usize::from(self.random.once_in(8));
        let class = 1 << self.random.below(LARGEST.ilog2() as usize + 1);
        let capacity = class - self.random.below(class / 2 + 1);
        let lease = self.traffic.pools[pool].lease(capacity).unwrap();
        let mut open = Open::new(number, pool, &lease);
        // The lease goes before the batch, or after it.
        let lease = Some(lease).filter(|_| self.random.once_in(2));
        if self.random.once_in(4) {
            let canceller = open.consumer.canceller();
            self.leave_handle(Handle::Canceller(number, canceller));
        }
        let items = 1 + self.random.below(2 * class);
        let filled = (0..items).try_for_each(|_| self.put(&mut open));
        self.close(open, filled.is_err());
        drop(lease);
        self.look(pool);
    }

    /// Reserves a position, and takes others to make room for it.
    fn put(&mut self, open: &mut Open) -> Result<(), ReserveError> {
        if open.is_full() || self.random.once_in(64) {
            self.make_room(open);
        }
        self.reserve(open).inspect_err(|error| assert_eq!(*error, ReserveError::Cancelled))
    }

    /// Settles what it reserves, keeps it for later, or gives it away. Half of the tickets come late, twice,
    /// or to the wrong place.
    fn reserve(&mut self, open: &mut Open) -> Result<(), ReserveError> {
        let name = open.name(open.producer.reserved());
        let way = self.random.below(16);
        if way < 3 {
            return self.permit(open, name, way);
        }
        let ticket = open.producer.reserve()?;
        open.reserved();
        let letter = Letter { name, ticket, pool: open.pool };
        open.letter = Some(letter);
        match way {
            3..9 => open.kept.push(letter),
            9 | 10 => (0..2).for_each(|_| self.complete_own(open, letter)),
            11 => {
                self.complete_own(open, letter);
                self.leave(letter, open);
            }
            12 => {
                let answer = self.evict(name, || open.consumer.ring().evict(ticket));
                assert_eq!(answer, Ok(()), "nobody else has it");
                open.know(name, Fate::Gap(Gap::Evicted));
                self.complete_own(open, letter);
            }
            13 => {
                self.try_elsewhere(letter, None);
                open.kept.push(letter);
            }
            _ => self.leave(letter, open),
        }
        Ok(())
    }

    fn permit(&mut self, open: &mut Open, name: Name, way: usize) -> Result<(), ReserveError> {
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
                open.know(name, Fate::Gap(Gap::Abandoned));
                if let Some(letter) = open.neighbour(name) {
                    self.complete_own(open, letter);
                }
            }
            _ => self.leave_handle(Handle::Permit(name, permit)),
        }
        Ok(())
    }

    /// Through the lease, the pool, or bits.
    fn complete_own(&mut self, open: &mut Open, letter: Letter) {
        let Letter { name, ticket, .. } = letter;
        let pool = &self.traffic.pools[open.pool];
        let answer = match self.random.below(8) {
            0 => self.through_bits(letter),
            1..4 => self.complete(name, |value| pool.complete(ticket, value)),
            _ => self.complete(name, |value| open.consumer.ring().complete(ticket, value)),
        };
        open.completed(name, answer);
    }

    fn complete_kept(&mut self, open: &mut Open) {
        while !open.kept.is_empty() {
            let letter = open.kept.swap_remove(self.random.below(open.kept.len()));
            self.complete_own(open, letter);
        }
    }

    /// Takes what is ready; if the window is full, at least one, and evicts what is missing for that.
    fn make_room(&mut self, open: &mut Open) {
        if !self.random.once_in(4) {
            self.complete_kept(open);
        }
        while self.take_ready(open) == TryNextError::Pending && open.is_full() {
            self.unblock(open);
        }
    }

    fn take_ready(&mut self, open: &mut Open) -> TryNextError {
        loop {
            match open.consumer.try_next() {
                Ok(delivery) => self.count_delivery(open.delivered(delivery)),
                Err(why) => return why,
            }
        }
    }

    fn count_delivery(&mut self, is_value: bool) {
        self.met.delivered += u64::from(is_value);
        self.met.gaps += u64::from(!is_value);
    }

    /// Waits for the head of line a little, or gives it up.
    fn unblock(&mut self, open: &mut Open) {
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

    fn evict_head(&mut self, open: &mut Open) {
        let name = open.name(open.consumer.delivered());
        match self.evict(name, || open.consumer.evict_head()) {
            Ok(()) => open.know(name, Fate::Gap(Gap::Evicted)),
            // Somebody is just writing, or has come first.
            Err(Reason::Duplicate | Reason::Evicted | Reason::Abandoned) => {}
            Err(reason) => panic!("the head of line is {reason:?}"),
        }
    }

    /// Ends the batch in one of several ways. What was kept for it comes late.
    fn close(&mut self, mut open: Open, is_cancelled: bool) {
        if self.random.once_in(2) {
            self.complete_kept(&mut open);
        }
        match self.random.below(4) {
            0 => _ = open.consumer.canceller().cancel(),
            1 if !is_cancelled => self.take_all(&mut open),
            _ => _ = self.take_ready(&mut open),
        }
        let Open { number, producer, mut consumer, kept, .. } = open;
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
        for letter in kept {
            let pool = &self.traffic.pools[letter.pool];
            let answer = self.complete(letter.name, |value| pool.complete(letter.ticket, value));
            assert!(answer.is_err());
        }
    }

    /// To the end, unless it is cancelled meanwhile.
    fn take_all(&mut self, open: &mut Open) {
        while self.take_ready(open) == TryNextError::Pending
            && open.consumer.delivered() < open.producer.reserved()
        {
            self.unblock(open);
        }
    }
}
