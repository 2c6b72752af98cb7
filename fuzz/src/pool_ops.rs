//! Operations on the rings of one pool: leases, and completions by tickets of all rings.

use crate::bytes::Bytes;
use crate::drop_counter::{Counted, DropCounter};
use crate::harness::Harness;
use crate::model::Model;
use reorder_ring::{Lease, Reason, RingPool, Ticket, TicketError};

/// Runs the operations that the bytes encode.
///
/// # Panics
///
/// Panics if an answer differs from the answer of the model.
pub fn pool_ops(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let idle_limit = match bytes.byte() {
        0..64 => usize::MAX,
        few => usize::from(few) % 8 * 1000,
    };
    let counter = DropCounter::default();
    let mut tested = TestedPool {
        pool: RingPool::with_idle_limit(idle_limit),
        idle_limit,
        rings: Vec::new(),
        may_free: idle_limit != usize::MAX,
    };
    while let Some(op) = bytes.next() {
        let (at, n) = (usize::from(bytes.byte()), usize::from(bytes.byte()));
        tested.step(op, at, n, &counter);
        tested.check(&counter);
    }
    drop(tested);
    counter.assert_each_dropped_once();
}

struct TestedPool {
    pool: RingPool<Counted>,
    idle_limit: usize,
    rings: Vec<TestedRing>,
    /// `true` if the pool had a reason to free an idle ring.
    may_free: bool,
}

/// A ring that was leased at least once.
struct TestedRing {
    identity: u64,
    lease: Option<Lease<Counted>>,
    harness: Harness<Lease<Counted>>,
    /// `true` if the pool has freed the ring, which then never returns.
    is_freed: bool,
}

impl TestedRing {
    fn is_leased(&self) -> bool {
        self.lease.is_some() || self.harness.has_handles()
    }
}

impl TestedPool {
    fn step(&mut self, op: u8, at: usize, n: usize, counter: &DropCounter) {
        if op < 24 {
            return self.lease(1 + n % 9);
        }
        let Some(at) = at.checked_rem(self.rings.len()) else { return };
        match op {
            24..40 => self.open(at),
            40..52 => drop(self.rings[at].lease.take()),
            52..56 => self.forget(at, n, counter),
            56..60 => self.trim(n * 100),
            60..68 => self.use_foreign_ticket(at, n, counter),
            _ if !self.rings[at].is_leased() => self.use_late_ticket(at, n, counter),
            _ => {
                let TestedRing { harness, lease, .. } = &mut self.rings[at];
                match lease {
                    Some(lease) if n.is_multiple_of(2) => harness.step(op, n, &**lease, counter),
                    _ => harness.step(op, n, &self.pool, counter),
                }
            }
        }
        self.close_after_lease(at);
    }

    /// Leases a ring. A first batch shows which ring it is, and is dropped.
    fn lease(&mut self, capacity: usize) {
        let lease = self.pool.lease(capacity).expect("allocate a ring");
        assert_eq!(lease.capacity(), capacity.next_power_of_two());
        let mut batch = lease.open_owned().expect("a leased ring is free");
        let first = batch.reserve().expect("a new batch has free slots");
        let identity = (first.to_bits() >> 64) as u64;
        let found = self.rings.iter().position(|ring| ring.identity == identity);
        let at = found.unwrap_or_else(|| {
            assert_eq!(first.position(), 0, "the first position of a new ring");
            let model = Model::new(lease.capacity() as u64, 0, 1 << 60);
            let harness = Harness::new(model);
            self.rings.push(TestedRing { identity, lease: None, harness, is_freed: false });
            self.rings.len() - 1
        });
        let ring = &mut self.rings[at];
        assert!(!ring.is_leased() && !ring.is_freed, "the ring is leased already, or was freed");
        ring.harness.open(Ok(batch));
        assert_eq!(ring.harness.model.reserve(1), Ok(first.position()));
        ring.harness.tickets.push(first);
        ring.harness.drop_whole();
        ring.lease = Some(lease);
    }

    fn trim(&mut self, idle_bytes: usize) {
        self.pool.trim(idle_bytes);
        self.may_free = true;
        assert!(self.pool.usage().idle_bytes <= idle_bytes);
    }

    fn open(&mut self, at: usize) {
        let TestedRing { lease, harness, .. } = &mut self.rings[at];
        if let Some(lease) = lease {
            harness.open(lease.open_owned());
        }
    }

    /// Opens a batch that borrows the lease, and forgets it, so the batch is not closed.
    fn forget(&mut self, at: usize, n: usize, counter: &DropCounter) {
        let TestedRing { lease: Some(lease), harness, .. } = &mut self.rings[at] else { return };
        let opened = lease.open();
        assert_eq!(opened.as_ref().err().copied(), harness.model.open().err());
        let Ok(mut batch) = opened else { return };
        for round in 0..n % 4 {
            let answer = batch.reserve();
            assert_eq!(answer.map(Ticket::position), harness.model.reserve(1));
            harness.tickets.extend(answer);
            harness.step(7, round, &**lease, counter);
        }
        std::mem::forget(batch);
    }

    /// Closes a forgotten batch in the model, as the end of a lease does on the ring.
    fn close_after_lease(&mut self, at: usize) {
        let ring = &mut self.rings[at];
        if !ring.is_leased() && ring.harness.model.is_open() {
            ring.harness.drop_whole();
        }
    }

    /// Uses a ticket of a ring that is idle or freed.
    fn use_late_ticket(&mut self, at: usize, n: usize, counter: &DropCounter) {
        let ring = &mut self.rings[at];
        let ticket = ring.harness.pick(n).expect("each ring has a ticket");
        let value = counter.value();
        let id = value.id;
        let refused = self.pool.complete(ticket, value).unwrap_err();
        assert_eq!(refused.value.id, id, "the pool returned another value");
        assert_eq!(refused.reason, if ring.is_freed { Reason::Foreign } else { Reason::Stale });
        assert_eq!(self.pool.evict(ticket), Err(refused.reason));
    }

    /// Uses a ticket on another ring.
    fn use_foreign_ticket(&mut self, at: usize, n: usize, counter: &DropCounter) {
        let next = (at + 1) % self.rings.len();
        let ticket = self.rings[at].harness.pick(n).expect("each ring has a ticket");
        let Some(lease) = self.rings[next].lease.as_ref().filter(|_| next != at) else { return };
        let refused = lease.complete(ticket, counter.value()).unwrap_err();
        assert_eq!(refused.reason, Reason::Foreign);
        assert_eq!(lease.evict(ticket), Err(Reason::Foreign));
        let foreign = lease.ticket_from_bits(ticket.to_bits());
        assert!(matches!(foreign, Err(TicketError::Foreign { .. })));
    }

    /// Finds out which rings were freed, and checks the usage and the number of values.
    fn check(&mut self, counter: &DropCounter) {
        for ring in &mut self.rings {
            let ticket = ring.harness.tickets[0];
            match self.pool.ticket_from_bits(ticket.to_bits()) {
                Ok(found) => assert!(found == ticket && !ring.is_freed),
                Err(error) => {
                    assert!(matches!(error, TicketError::NotInPool { .. }));
                    assert!(!ring.is_leased() && (self.may_free || ring.is_freed));
                    ring.is_freed = true;
                }
            }
        }
        let usage = self.pool.usage();
        assert!(usage.idle_bytes <= self.idle_limit);
        assert_eq!(usage.rings, self.rings.iter().filter(|ring| !ring.is_freed).count());
        let inside: usize = self.rings.iter().map(|ring| ring.harness.model.ready().len()).sum();
        assert_eq!(counter.alive(), inside, "the values inside the rings");
    }
}
