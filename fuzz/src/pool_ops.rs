//! Operations on the rings of one pool: leases that come and go, and tickets of all of them.

use crate::bytes::Bytes;
use crate::ledger::{Counted, Ledger};
use crate::model::Model;
use crate::player::Player;
use reorder_ring::{Lease, Reason, RingPool, Ticket, TicketError};

/// # Panics
///
/// If an answer differs from the model's.
pub fn pool_ops(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let idle_limit = match bytes.byte() {
        0..64 => usize::MAX,
        few => usize::from(few) % 8 * 1000,
    };
    let ledger = Ledger::default();
    let mut world = World {
        pool: RingPool::with_idle_limit(idle_limit),
        idle_limit,
        rings: Vec::new(),
        may_free: idle_limit != usize::MAX,
    };
    while let Some(op) = bytes.next() {
        let (at, n) = (usize::from(bytes.byte()), usize::from(bytes.byte()));
        world.step(op, at, n, &ledger);
        world.check(&ledger);
    }
    drop(world);
    ledger.assert_each_dropped_once();
}

struct World {
    pool: RingPool<Counted>,
    idle_limit: usize,
    rings: Vec<Known>,
    /// Whether there was a reason to free an idle ring.
    may_free: bool,
}

/// A ring that was leased once.
struct Known {
    identity: u64,
    lease: Option<Lease<Counted>>,
    player: Player<Lease<Counted>>,
    /// It was freed, and never comes again.
    is_gone: bool,
}

impl Known {
    fn is_leased(&self) -> bool {
        self.lease.is_some() || self.player.has_handles()
    }
}

impl World {
    fn step(&mut self, op: u8, at: usize, n: usize, ledger: &Ledger) {
        if op < 24 {
            return self.lease(1 + n % 9);
        }
        let Some(at) = at.checked_rem(self.rings.len()) else { return };
        match op {
            24..40 => self.open(at),
            40..52 => drop(self.rings[at].lease.take()),
            52..56 => self.forget(at, n, ledger),
            56..60 => self.trim(n * 100),
            60..68 => self.elsewhere(at, n, ledger),
            _ if !self.rings[at].is_leased() => self.late(at, n, ledger),
            _ => {
                let Known { player, lease, .. } = &mut self.rings[at];
                match lease {
                    Some(lease) if n.is_multiple_of(2) => player.step(op, n, &**lease, ledger),
                    _ => player.step(op, n, &self.pool, ledger),
                }
            }
        }
        self.returned(at);
    }

    /// The first batch tells which ring it is, and is given up.
    fn lease(&mut self, capacity: usize) {
        let lease = self.pool.lease(capacity).expect("there is memory");
        assert_eq!(lease.capacity(), capacity.next_power_of_two());
        let mut batch = lease.open_owned().expect("it is leased clean");
        let first = batch.reserve().expect("there is room");
        let identity = (first.to_bits() >> 64) as u64;
        let found = self.rings.iter().position(|ring| ring.identity == identity);
        let at = found.unwrap_or_else(|| {
            assert_eq!(first.position(), 0, "a new ring");
            let model = Model::new(lease.capacity() as u64, 0, 1 << 60);
            let player = Player::new(model);
            self.rings.push(Known { identity, lease: None, player, is_gone: false });
            self.rings.len() - 1
        });
        let ring = &mut self.rings[at];
        assert!(!ring.is_leased() && !ring.is_gone, "leased twice, or after it was freed");
        ring.player.open(Ok(batch));
        assert_eq!(ring.player.model.reserve(1), Ok(first.position()));
        ring.player.tickets.push(first);
        ring.player.drop_whole();
        ring.lease = Some(lease);
    }

    fn trim(&mut self, idle_bytes: usize) {
        self.pool.trim(idle_bytes);
        self.may_free = true;
        assert!(self.pool.usage().idle_bytes <= idle_bytes);
    }

    fn open(&mut self, at: usize) {
        let Known { lease, player, .. } = &mut self.rings[at];
        if let Some(lease) = lease {
            player.open(lease.open_owned());
        }
    }

    /// A batch that borrows the lease and is never closed.
    fn forget(&mut self, at: usize, n: usize, ledger: &Ledger) {
        let Known { lease: Some(lease), player, .. } = &mut self.rings[at] else { return };
        let opened = lease.open();
        assert_eq!(opened.as_ref().err().copied(), player.model.open().err());
        let Ok(mut batch) = opened else { return };
        for round in 0..n % 4 {
            let answer = batch.reserve();
            assert_eq!(answer.map(Ticket::position), player.model.reserve(1));
            player.tickets.extend(answer);
            player.step(7, round, &**lease, ledger);
        }
        std::mem::forget(batch);
    }

    /// What the end of a lease does: it closes a forgotten batch.
    fn returned(&mut self, at: usize) {
        let ring = &mut self.rings[at];
        if !ring.is_leased() && ring.player.model.is_open() {
            ring.player.drop_whole();
        }
    }

    /// A ticket of a ring that is idle or freed.
    fn late(&mut self, at: usize, n: usize, ledger: &Ledger) {
        let ring = &mut self.rings[at];
        let ticket = ring.player.pick(n).expect("each has one");
        let value = ledger.value();
        let id = value.id;
        let refused = self.pool.complete(ticket, value).unwrap_err();
        assert_eq!(refused.value.id, id, "another value came back");
        assert_eq!(refused.reason, if ring.is_gone { Reason::Foreign } else { Reason::Stale });
        assert_eq!(self.pool.evict(ticket), Err(refused.reason));
    }

    /// A ticket on the next ring.
    fn elsewhere(&mut self, at: usize, n: usize, ledger: &Ledger) {
        let next = (at + 1) % self.rings.len();
        let ticket = self.rings[at].player.pick(n).expect("each has one");
        let Some(lease) = self.rings[next].lease.as_ref().filter(|_| next != at) else { return };
        let refused = lease.complete(ticket, ledger.value()).unwrap_err();
        assert_eq!(refused.reason, Reason::Foreign);
        assert_eq!(lease.evict(ticket), Err(Reason::Foreign));
        assert_eq!(lease.ticket_from_bits(ticket.to_bits()), Err(TicketError::Foreign));
    }

    /// Finds out which rings were freed, and counts.
    fn check(&mut self, ledger: &Ledger) {
        for ring in &mut self.rings {
            let ticket = ring.player.tickets[0];
            match self.pool.ticket_from_bits(ticket.to_bits()) {
                Ok(found) => assert!(found == ticket && !ring.is_gone),
                Err(error) => {
                    assert_eq!(error, TicketError::Foreign);
                    assert!(!ring.is_leased() && (self.may_free || ring.is_gone));
                    ring.is_gone = true;
                }
            }
        }
        let usage = self.pool.usage();
        assert!(usage.idle_bytes <= self.idle_limit);
        assert_eq!(usage.rings, self.rings.iter().filter(|ring| !ring.is_gone).count());
        let inside: usize = self.rings.iter().map(|ring| ring.player.model.ready().len()).sum();
        assert_eq!(ledger.alive(), inside, "values inside of the rings");
    }
}
