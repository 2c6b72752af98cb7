//! Batches of all sizes on many threads, over one pool with a second one beside it; half of their tickets
//! come late, twice, or to the wrong ring or pool.
//!
//! A thread leases rings, fills them and takes from them. Tickets that it gives away lie in a post for
//! a while, a moment or a hundred batches, until some thread completes or evicts them. Every value carries
//! the name of the position that it is for. Every answer is compared with what is known: which batches
//! are closed, and which positions their owner has settled itself. What a batch does follows from its number;
//! how the batches meet is up to the scheduler.
//!
//! Used by the tests of the public interface, by those inside of the crate, with a thread stopped within a
//! call, and by the soak.

mod actor;
mod open;
mod owner;
mod post;
mod random;
mod stranger;
mod value;

use std::boxed::Box;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::Duration;

use actor::Actor;
use post::Post;
use reorder_ring::{PoolUsage, Reason, RingPool};
use value::{Drops, Stamped};

/// The most threads that there are at one time; each starts the next one when it ends.
const AT_ONCE: usize = 64;
/// How many batches each thread opens, one after the other.
const BATCHES: usize = 4;
const LARGEST: usize = if cfg!(miri) { 8 } else { 4096 };
/// What may wait to be freed, and one ring for each thread that is just asking whether it may wait, too.
const MOST_DEFERRED: usize = (8 << 20) + AT_ONCE * (1000 + LARGEST * 64);
/// More rings than can be leased at one time, all sizes together.
const MOST_RINGS: usize = (LARGEST.ilog2() as usize + 1) * (AT_ONCE + post::KEPT_RINGS);

/// Where a batch stands, as far as its owner has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Open,
    Closing,
    Closed,
}

/// How much traffic there is.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) threads: usize,
    pub(crate) at_once: usize,
    /// How many idle bytes the pool keeps; the one beside it keeps none.
    pub(crate) idle_limit: usize,
    pub(crate) seed: usize,
}

impl Plan {
    /// So many threads, or as many as `REORDER_POOL_THREADS` says.
    #[allow(dead_code, reason = "not for the soak")]
    pub(crate) fn new(threads: usize, idle_limit: usize) -> Plan {
        let told = std::env::var("REORDER_POOL_THREADS").ok();
        let threads = told.map_or(threads, |told| told.parse().expect("a number of threads"));
        Plan { threads, at_once: AT_ONCE, idle_limit, seed: 0 }
    }
}

/// What all threads of a run share.
pub(crate) struct Traffic {
    /// The one under test, and the one beside it.
    pools: [RingPool<Stamped>; 2],
    plan: Plan,
    started: AtomicUsize,
    /// By the number of the batch.
    states: Box<[AtomicU8]>,
    post: Post,
    drops: Arc<Drops>,
    met: Mutex<Answers>,
}

impl Traffic {
    pub(crate) fn new(plan: Plan) -> Traffic {
        Traffic {
            pools: [plan.idle_limit, 0].map(RingPool::with_idle_limit),
            plan,
            started: AtomicUsize::new(0),
            states: (0..plan.threads * BATCHES).map(|_| AtomicU8::new(State::Open as u8)).collect(),
            post: Post::new(),
            drops: Arc::default(),
            met: Mutex::default(),
        }
    }

    /// Runs all threads, and settles what they left.
    pub(crate) fn run(self) -> Outcome {
        thread::scope(|scope| (0..self.plan.at_once).for_each(|_| self.start_next(scope)));
        let mut last = Actor::new(&self, self.states.len());
        last.empty_the_post();
        last.end();

        let met = self.met.into_inner().unwrap();
        // A short run may miss some of them.
        if self.plan.threads >= 500 {
            met.assert_all();
        }
        Outcome { met, drops: self.drops, pools: self.pools, plan: self.plan }
    }

    fn start_next<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let number = self.started.fetch_add(1, Relaxed);
        if number < self.plan.threads {
            scope.spawn(move || {
                for batch in number * BATCHES..(number + 1) * BATCHES {
                    let mut actor = Actor::new(self, self.plan.seed.wrapping_add(batch));
                    actor.own(batch as u32);
                    actor.end();
                }
                self.start_next(scope);
            });
        }
    }

    fn state(&self, batch: u32) -> State {
        match self.states[batch as usize].load(Acquire) {
            0 => State::Open,
            1 => State::Closing,
            _ => State::Closed,
        }
    }

    fn set_state(&self, batch: u32, state: State) {
        self.states[batch as usize].store(state as u8, Release);
    }
}

/// What is left of a run.
pub(crate) struct Outcome {
    pub(crate) met: Answers,
    drops: Arc<Drops>,
    pools: [RingPool<Stamped>; 2],
    plan: Plan,
}

impl Outcome {
    /// At no time was there more than there may be. Afterwards a few batches bring the idle memory back
    /// under its limit, if a thread within a call has kept them from it before; and all of it can be had
    /// back.
    pub(crate) fn assert_memory_is_bounded(&self) {
        assert!(self.met.most_deferred_bytes <= MOST_DEFERRED, "{:?}", self.met);
        assert!(self.met.most_rings <= MOST_RINGS, "{:?}", self.met);
        for (pool, limit) in self.pools.iter().zip([self.plan.idle_limit, 0]) {
            eventually(pool, |usage| usage.idle_bytes <= limit, || drop(pool.lease(1).unwrap()));
            let nothing = |usage: PoolUsage| usage.rings + usage.deferred_bytes == 0;
            eventually(pool, nothing, || pool.trim(0));
        }
        self.assert_nothing_is_lost();
    }

    /// Compares what was made with what was delivered, returned and dropped. When all rings are gone:
    /// an idle one may have an orphan, which is dropped when the ring is polled.
    fn assert_nothing_is_lost(&self) {
        let ([made, retrieved, reclaimed], met) = (self.drops.counts(), &self.met);
        assert_eq!(retrieved, met.delivered + met.refused(), "delivered or returned");
        assert_eq!(reclaimed, met.accepted - met.delivered, "dropped by a ring");
        assert_eq!(made, retrieved + reclaimed, "all of them");
    }
}

/// Takes some steps until the usage is as it should be. Other tests of the process may be within a call,
/// and hold that up.
fn eventually<T>(pool: &RingPool<T>, is_so: impl Fn(PoolUsage) -> bool, step: impl Fn()) {
    for _ in 0..10_000 {
        if is_so(pool.usage()) {
            return;
        }
        step();
        thread::sleep(Duration::from_micros(100));
    }
    panic!("it stays: {:?}", pool.usage());
}

/// How often each answer came, and how much memory there was.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) gaps: u64,
    pub(crate) cancelled: u64,
    /// By reason.
    pub(crate) refused: [u64; 7],
    /// Bits that were damaged on their way.
    pub(crate) forged: u64,
    pub(crate) most_deferred_bytes: usize,
    pub(crate) most_rings: usize,
}

impl Answers {
    fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    pub(crate) fn add(&mut self, other: &Answers) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.gaps += other.gaps;
        self.cancelled += other.cancelled;
        self.forged += other.forged;
        for (sum, more) in self.refused.iter_mut().zip(other.refused) {
            *sum += more;
        }
        self.most_deferred_bytes = self.most_deferred_bytes.max(other.most_deferred_bytes);
        self.most_rings = self.most_rings.max(other.most_rings);
    }

    /// A run that never meets an answer says nothing about it.
    pub(crate) fn assert_all(&self) {
        assert!(self.delivered > 0 && self.gaps > 0 && self.cancelled > 0, "{self:?}");
        assert!(self.forged > 0, "nobody damaged any bits");
        assert!(self.accepted > self.delivered, "no value was left to its ring");
        use Reason::{Abandoned, Duplicate, Evicted, Foreign, Settled, Stale};
        for reason in [Foreign, Stale, Duplicate, Evicted, Abandoned, Settled] {
            assert!(self.refused[reason as usize] > 0, "nothing was refused as {reason:?}");
        }
    }
}
