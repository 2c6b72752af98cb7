//! Batches of all sizes on many threads, over the pool under test and a second pool. Half of the
//! tickets come late, twice, or to the wrong ring or pool.
//!
//! A thread leases rings, fills them and takes from them. It leaves some of its tickets in the
//! exchange, where they stay for a moment or for a hundred batches, until some thread completes or
//! evicts them. Every value carries the name of the position that it is for.
//!
//! Every answer is compared with the known state: the batches that are closed, and the positions
//! that their owner has completed, evicted or abandoned itself. The number of a batch decides its
//! operations, and the scheduler decides how the batches interleave.
//!
//! Three suites use this module: the tests of the public interface, the tests inside the crate that
//! stop a thread within a call, and the soak.

mod exchange;
mod open_batch;
mod owner;
mod random;
mod received;
mod test_thread;
mod value;

use std::boxed::Box;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::Duration;

use exchange::Exchange;
use reorder_ring::{PoolUsage, Reason, RingPool};
use test_thread::TestThread;
use value::{DropCounts, NamedValue};

/// The largest number of threads at one time. Each starts the next one when it ends.
const AT_ONCE: usize = 64;
/// The number of batches that each thread opens, one after the other.
const BATCHES: usize = 4;
const LARGEST: usize = if cfg!(miri) { 8 } else { 4096 };
/// The limit of the deferred bytes. Each thread may exceed the pool's own limit by one ring, while
/// it checks that limit.
const MOST_DEFERRED: usize = (8 << 20) + AT_ONCE * (1000 + LARGEST * 64);
/// The limit of the rings, of all sizes together: more than can be leased at one time.
const MOST_RINGS: usize = (LARGEST.ilog2() as usize + 1) * (AT_ONCE + exchange::KEPT_RINGS);

/// The state of a batch, as its owner has published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Open,
    Closing,
    Closed,
}

/// The amount of traffic of a run.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) threads: usize,
    pub(crate) at_once: usize,
    /// The idle bytes that the pool under test may keep. The second pool keeps none.
    pub(crate) idle_limit: usize,
    pub(crate) seed: usize,
}

impl Plan {
    /// Returns a plan with `threads` threads, or with the number in `REORDER_POOL_THREADS`.
    #[allow(dead_code, reason = "the soak does not use it")]
    pub(crate) fn new(threads: usize, idle_limit: usize) -> Plan {
        let variable = std::env::var("REORDER_POOL_THREADS").ok();
        let threads = variable.map_or(threads, |text| text.parse().expect("a number of threads"));
        Plan { threads, at_once: AT_ONCE, idle_limit, seed: 0 }
    }
}

/// The state that all threads of a run share.
pub(crate) struct Traffic {
    /// The pool under test, and the second pool.
    pools: [RingPool<NamedValue>; 2],
    plan: Plan,
    started: AtomicUsize,
    /// The state of each batch, by its number.
    states: Box<[AtomicU8]>,
    exchange: Exchange,
    drops: Arc<DropCounts>,
    answers: Mutex<Answers>,
}

impl Traffic {
    pub(crate) fn new(plan: Plan) -> Traffic {
        Traffic {
            pools: [plan.idle_limit, 0].map(RingPool::with_idle_limit),
            plan,
            started: AtomicUsize::new(0),
            states: (0..plan.threads * BATCHES).map(|_| AtomicU8::new(State::Open as u8)).collect(),
            exchange: Exchange::new(),
            drops: Arc::default(),
            answers: Mutex::default(),
        }
    }

    /// Runs all threads, and then uses the tickets and handles that are left in the exchange.
    pub(crate) fn run(self) -> Outcome {
        thread::scope(|scope| (0..self.plan.at_once).for_each(|_| self.start_next(scope)));
        let mut last = TestThread::new(&self, self.states.len());
        last.empty_exchange();
        last.end();

        let answers = self.answers.into_inner().unwrap();
        // A short run may miss some of the answers.
        if self.plan.threads >= 500 {
            answers.assert_all();
        }
        Outcome { answers, drops: self.drops, pools: self.pools, plan: self.plan }
    }

    fn start_next<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let number = self.started.fetch_add(1, Relaxed);
        if number < self.plan.threads {
            scope.spawn(move || {
                for batch in number * BATCHES..(number + 1) * BATCHES {
                    let mut test_thread = TestThread::new(self, self.plan.seed.wrapping_add(batch));
                    test_thread.own(batch as u32);
                    test_thread.end();
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

/// The answers, counts and pools of a finished run.
pub(crate) struct Outcome {
    pub(crate) answers: Answers,
    drops: Arc<DropCounts>,
    pools: [RingPool<NamedValue>; 2],
    plan: Plan,
}

impl Outcome {
    /// Asserts that the pools never had too many rings or deferred bytes, and that all memory can
    /// be freed.
    ///
    /// A thread that was stopped within a call may have kept the idle memory above its limit. A few
    /// batches then bring it below the limit again.
    pub(crate) fn assert_memory_is_bounded(&self) {
        assert!(self.answers.most_deferred_bytes <= MOST_DEFERRED, "{:?}", self.answers);
        assert!(self.answers.most_rings <= MOST_RINGS, "{:?}", self.answers);
        for (pool, limit) in self.pools.iter().zip([self.plan.idle_limit, 0]) {
            eventually(pool, |usage| usage.idle_bytes <= limit, || drop(pool.lease(1).unwrap()));
            let nothing = |usage: PoolUsage| usage.rings + usage.deferred_bytes == 0;
            eventually(pool, nothing, || pool.trim(0));
        }
        self.assert_nothing_is_lost();
    }

    /// Asserts that each value was delivered, returned, or dropped by a ring.
    ///
    /// All rings must have been freed: an idle ring may have an orphan, whose value is dropped only
    /// when the ring is polled.
    fn assert_nothing_is_lost(&self) {
        let ([made, retrieved, reclaimed], answers) = (self.drops.counts(), &self.answers);
        assert_eq!(
            retrieved,
            answers.delivered + answers.refused(),
            "values delivered or returned"
        );
        assert_eq!(reclaimed, answers.accepted - answers.delivered, "values dropped by a ring");
        assert_eq!(made, retrieved + reclaimed, "all values");
    }
}

/// Repeats `step` until the usage satisfies `is_so`. Other tests of the process may be within a
/// call and delay this.
fn eventually<T>(pool: &RingPool<T>, is_so: impl Fn(PoolUsage) -> bool, step: impl Fn()) {
    for _ in 0..10_000 {
        if is_so(pool.usage()) {
            return;
        }
        step();
        thread::sleep(Duration::from_micros(100));
    }
    panic!("the usage stays at {:?}", pool.usage());
}

/// The number of times that each answer came, and the largest memory usage.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) gaps: u64,
    pub(crate) cancelled: u64,
    /// The refusals, by reason.
    pub(crate) refused: [u64; 7],
    /// The tickets whose bits were damaged.
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

    /// Asserts that each answer came at least once. Otherwise the run has tested too little.
    pub(crate) fn assert_all(&self) {
        assert!(self.delivered > 0 && self.gaps > 0 && self.cancelled > 0, "{self:?}");
        assert!(self.forged > 0, "no bits were damaged");
        assert!(self.accepted > self.delivered, "no value was left to its ring");
        use Reason::{Abandoned, Duplicate, Evicted, Foreign, Settled, Stale};
        for reason in [Foreign, Stale, Duplicate, Evicted, Abandoned, Settled] {
            assert!(self.refused[reason as usize] > 0, "nothing was refused as {reason:?}");
        }
    }
}
