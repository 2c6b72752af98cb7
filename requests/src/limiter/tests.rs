//! Simulations of rate limiters in virtual time.

use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use super::*;
use crate::{AttemptOutcome, RequestsExt};
use reorder_executor::{BatchHandle, BatchReport, Executor};

mod events;
mod quotas;
mod stats;

/// The rest of a batch, which its waker ends.
#[derive(Default)]
struct Rest(AtomicBool);

impl Rest {
    /// Looks whether something is due. If not, the batch rests until it is woken.
    fn look(&self, is_due: impl FnOnce() -> bool) -> bool {
        self.0.store(true, Relaxed);
        if is_due() {
            self.0.store(false, Relaxed);
        }
        !self.is_resting()
    }

    fn is_resting(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Wake for Rest {
    fn wake(self: Arc<Self>) {
        self.0.store(false, Relaxed);
    }
}

/// The turn of a batch that may rest.
struct Batch {
    turn: Turn,
    rest: Arc<Rest>,
}

impl Deref for Batch {
    type Target = Turn;

    fn deref(&self) -> &Turn {
        &self.turn
    }
}

impl DerefMut for Batch {
    fn deref_mut(&mut self) -> &mut Turn {
        &mut self.turn
    }
}

fn batch(limiter: &RateLimiter) -> Batch {
    let rest = Arc::<Rest>::default();
    let turn = limiter.turn(Some(Waker::from(Arc::clone(&rest))));
    Batch { turn, rest }
}

/// Returns a batch that rests because its slot is not open.
fn waiting(limiter: &RateLimiter, at: Instant) -> Batch {
    let mut batch = batch(limiter);
    let Batch { turn, rest } = &mut batch;
    assert!(!rest.look(|| turn.check(at).is_ok()));
    batch
}

fn is_resting(batch: &Batch) -> bool {
    batch.rest.is_resting()
}

#[test]
fn the_first_batch_is_told_when_the_limiter_opens_earlier() {
    let throttle = Throttle::new(Duration::ZERO, Duration::from_secs(90), Duration::from_secs(30));
    let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
    let start = now();
    let mut turn = limiter.turn(None);
    let first = turn.dispatch(start).unwrap();
    let record = |dispatch, had_capacity| {
        let answer = if had_capacity { Answer::Done } else { Answer::Retry };
        limiter.ended(dispatch, answer, start)
    };
    assert_eq!(record(first, false), Duration::from_secs(30));
    assert_eq!(record(first, true), Duration::from_secs(30), "that is of an earlier round");
    let second = turn.dispatch(start + Duration::from_secs(30)).unwrap();
    let others = [(); 2].map(|()| waiting(&limiter, start));
    assert!(others.iter().all(is_resting), "none was told yet");
    assert_eq!(record(second, true), Duration::ZERO);
    assert!(!others.iter().any(is_resting), "nothing keeps any of them");
}

#[test]
fn each_slot_ends_the_rest_of_one_batch() {
    const HOUR: Duration = Duration::from_secs(3600);
    let throttle = Throttle::new(HOUR, 200 * HOUR, HOUR);
    let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
    let start = now();
    assert!(limiter.turn(None).dispatch(start).is_ok());
    let mut turns: Vec<Batch> = (0..100).map(|_| waiting(&limiter, start)).collect();
    for slot in 0..100 {
        assert!(turns.iter().all(is_resting));
        // The timer of the limiter fires.
        let state = lock(&limiter.0.state);
        let at = limiter.opening(&state, 1, start).unwrap();
        limiter.serve(state, at);
        let told: Vec<_> = (0..100).filter(|&place| !is_resting(&turns[place])).collect();
        assert_eq!(told, [slot]);
        let turn = &mut turns[slot];
        let dispatch = turn.dispatch(at).unwrap();
        turn.rest.look(|| false);
        // An outcome makes the delay longer or shorter. Only the timer changes.
        let before = limiter.delay();
        let answer = if slot % 2 > 0 { Answer::Done } else { Answer::Retry };
        assert_ne!(limiter.ended(dispatch, answer, at), before);
    }
}

#[test]
fn a_batch_that_does_not_come_is_told_once_and_loses_its_place() {
    let limiter = RateLimiter::builder().pace(1_000_000 * MS).build().unwrap();
    let (start, slot) = (now(), now() + 1_000_001 * MS);
    assert!(limiter.turn(None).dispatch(start).is_ok());
    let turns = [(); 3].map(|()| waiting(&limiter, start));
    let resting = |at| {
        limiter.serve(lock(&limiter.0.state), at);
        turns.each_ref().map(is_resting)
    };
    assert_eq!(resting(slot), [false, true, true]);
    assert_eq!(resting(slot + GRACE - MS), [false, true, true]);
    assert_eq!(resting(slot + GRACE), [false, false, true]);
    assert_eq!(resting(slot + 2 * GRACE), [false, false, false]);
    assert_eq!(lock(&limiter.0.state).queue.len(), 1, "the last one keeps no other");
}

#[test]
fn a_batch_that_loses_its_place_to_another_asks_again() {
    let limiter = RateLimiter::builder().pace(1_000_000 * MS).build().unwrap();
    let start = now();
    assert!(limiter.turn(None).dispatch(start).is_ok());
    let mut first = waiting(&limiter, start);
    // The timer is late. A worker looks at another batch, which is not in the queue.
    let slot = start + 1_000_000 * MS;
    assert!(limiter.turn(None).dispatch(slot + GRACE).is_ok());
    assert!(!is_resting(&first));
    assert!(first.check(slot + GRACE).is_err());
    assert_eq!(lock(&limiter.0.state).queue.len(), 1);
}

#[test]
fn a_timer_that_has_fired_is_armed_again_for_a_thread_that_read_the_clock_before() {
    let limiter = RateLimiter::builder().pace(MS).build().unwrap();
    let start = now();
    assert!(limiter.turn(None).dispatch(start).is_ok());
    let Batch { mut turn, rest } = batch(&limiter);
    rest.look(|| turn.check(start).is_ok());
    turn.leave(start);
    // The timer fires, and no batch waits.
    thread::sleep(20 * MS);
    let mut turn = limiter.turn(Some(Waker::from(Arc::clone(&rest))));
    rest.look(|| turn.check(start).is_ok());
    while rest.is_resting() {
        assert!(start.elapsed() < 60_000 * MS, "no timer ends the rest");
        thread::sleep(MS);
    }
}

#[test]
fn a_dispatch_at_a_limiter_costs_the_same_for_any_number_of_batches() {
    const BATCHES: u64 = 200;
    let executor = Executor::builder().workers(2).build().unwrap();
    let limiter = RateLimiter::builder().pace(MS).build().unwrap();
    let batch = || {
        let requests = executor.batch([()]).requests().through(&limiter);
        requests.submit(|(), _| AttemptOutcome::<_, ()>::Done(())).unwrap()
    };
    let batches: Vec<_> = (0..BATCHES).map(|_| batch()).collect();
    let reports = batches.into_iter().map(BatchHandle::wait);
    assert!(reports.map(BatchReport::into_values).all(|values| values.is_ok()));
    let asked = lock(&limiter.0.state).asked;
    assert!((BATCHES..20 * BATCHES).contains(&asked), "{asked}");
}

const MS: Duration = Duration::from_millis(1);

/// Returns a limiter with a pace of 10 ms.
fn paced(burst: u32) -> RateLimiter {
    let burst = NonZeroU32::new(burst).unwrap();
    RateLimiter::builder().pace(10 * MS).burst(burst).build().unwrap()
}

/// Returns the number of dispatches that a batch makes at this instant, and leaves it waiting.
fn dispatches(turn: &mut Turn, at: Instant) -> usize {
    std::iter::from_fn(|| turn.dispatch(at).ok()).count()
}

#[test]
fn a_late_thread_does_not_push_back_the_schedule() {
    let (start, limiter) = (now(), paced(16));
    let mut turn = limiter.turn(None);
    let mut made = 0;
    // The thread comes 1 to 8 ms late each time.
    for slot in 0..100 {
        made += dispatches(&mut turn, start + 10 * slot * MS + (slot * 5 % 8 + 1) * MS);
    }
    assert_eq!(made, 100, "the lateness does not add up");
    // It comes 57 ms late once.
    assert_eq!(dispatches(&mut turn, start + 1058 * MS), 6);
    assert_eq!(dispatches(&mut turn, start + 1060 * MS), 0);
    assert_eq!(dispatches(&mut turn, start + 1061 * MS), 1, "the old schedule holds");
}

#[test]
fn a_burst_bounds_what_is_made_up_for() {
    for burst in [1, 2, 5] {
        let (start, limiter) = (now(), paced(burst));
        let mut turn = limiter.turn(None);
        assert_eq!(dispatches(&mut turn, start), 1);
        assert_eq!(dispatches(&mut turn, start + 1000 * MS), burst as usize);
        assert_eq!(dispatches(&mut turn, start + 1009 * MS), 0);
        assert_eq!(dispatches(&mut turn, start + 1010 * MS), 1);
    }
}

#[test]
fn an_idle_limiter_saves_nothing_up() {
    let (start, limiter) = (now(), paced(16));
    let mut turn = limiter.turn(None);
    assert!(turn.dispatch(start).is_ok());
    // No batch waits. That the slots pass is no lateness.
    for pause in [25, 100, 3_600_000] {
        assert_eq!(dispatches(&mut turn, start + pause * MS), 1, "{pause}");
        turn.leave(now());
    }
    // A batch that waited and has left does not count as waiting either.
    let at = start + 4_000_000 * MS;
    assert_eq!(dispatches(&mut turn, at), 1);
    turn.leave(now());
    assert_eq!(dispatches(&mut limiter.turn(None), at + 1000 * MS), 1);
}

#[test]
fn a_back_off_forgets_lateness() {
    let throttle = Throttle::new(Duration::ZERO, 100 * MS, MS);
    let limiter = RateLimiter::builder().pace(10 * MS).throttle(throttle).build().unwrap();
    let (start, mut turn) = (now(), limiter.turn(None));
    assert_eq!(dispatches(&mut turn, start), 1);
    let late = turn.dispatch(start + 95 * MS).unwrap();
    limiter.ended(late, Answer::Retry, start + 96 * MS);
    assert_eq!(dispatches(&mut turn, start + 104 * MS), 0, "the service has no capacity");
    assert_eq!(dispatches(&mut turn, start + 105 * MS), 1);
}

#[test]
fn waiting_batches_take_turns() {
    let (start, limiter) = (now(), paced(16));
    let mut turns = [limiter.turn(None), limiter.turn(None), limiter.turn(None)];
    let mut order = Vec::new();
    for time in 0..90 {
        // The third asks first, as the timers and workers of its executor may have it.
        for batch in (0..3).rev() {
            if turns[batch].dispatch(start + time * MS).is_ok() {
                order.push(batch);
            }
        }
    }
    assert_eq!(order, [2, 1, 0, 2, 1, 0, 2, 1, 0]);
}

#[test]
fn each_waiting_batch_has_a_slot_of_its_own_to_wake_for() {
    let (start, limiter) = (now(), paced(16));
    assert!(limiter.turn(None).dispatch(start).is_ok());
    let mut turns: Vec<Turn> = (0..4).map(|_| limiter.turn(None)).collect();
    let wakes = |turn: &mut Turn| turn.check(start).unwrap_err().open - start;
    assert!(turns.iter_mut().map(wakes).eq([10 * MS, 20 * MS, 30 * MS, 40 * MS]));
    // A batch that leaves makes room for those behind it.
    turns.remove(1);
    assert!(turns.iter_mut().map(wakes).eq([10 * MS, 20 * MS, 30 * MS]));
}

#[test]
fn a_batch_that_misses_its_turn_stops_no_other() {
    let (start, limiter) = (now(), paced(16));
    let (mut stuck, mut other) = (limiter.turn(None), limiter.turn(None));
    assert!(other.dispatch(start).is_ok());
    assert!(stuck.check(start).is_err());
    let mut at = start + 10 * MS;
    let closed = other.check(at).unwrap_err();
    assert!(closed.open > at, "it is the turn of the stuck one");
    assert!(other.dispatch(at + GRACE).is_ok());
    // From then on, the other need not wait for it again.
    at += 10 * MS;
    assert!(other.dispatch(at).is_ok());
    at += 10 * MS;
    // A batch that a thread looks at keeps its turn, however late that thread is.
    assert!(stuck.check(at - MS).is_err());
    assert!(stuck.check(at + 15 * MS).is_ok());
    let closed = other.dispatch(at + 15 * MS).unwrap_err();
    assert_eq!(closed.open, at + 15 * MS + GRACE);
    assert_eq!(closed.paced, closed.open, "there is no throttle to wait for");
    assert!(stuck.dispatch(at + 16 * MS).is_ok());
}

#[test]
fn a_closed_limiter_opens_a_little_later_and_one_attempt_at_a_time() {
    for seed in 0..200 {
        let limiter = RateLimiter::with(RateLimiter::builder(), fastrand::Rng::with_seed(seed));
        let (start, mut turn) = (now(), limiter.turn(None));
        let old = turn.dispatch(start).unwrap();
        lock(&limiter.0.state).close(start + 3200 * MS, start);
        lock(&limiter.0.state).close(start + 100 * MS, start + 10 * MS);
        let open = turn.check(start + MS).unwrap_err().open;
        assert!((3200 * MS..=3300 * MS).contains(&(open - start)), "{:?}", open - start);
        assert_eq!(dispatches(&mut turn, open - MS), 0);
        let probe = turn.dispatch(open).unwrap();
        assert!(turn.dispatch(open + 1000 * MS).is_err(), "the first probe comes first");
        limiter.ended(old, Answer::Done, open);
        assert_eq!(dispatches(&mut turn, open), 0, "the old attempt says nothing new");
        limiter.ended(probe, Answer::Done, open);
        let second = [(); 2].map(|()| turn.dispatch(open).unwrap());
        assert_eq!(dispatches(&mut turn, open), 0);
        limiter.ended(second[0], Answer::Retry, open);
        assert_eq!(dispatches(&mut turn, open), 1);
        limiter.ended(second[1], Answer::Failed, open);
        assert_eq!(dispatches(&mut turn, open), 2);
    }
}

#[test]
fn the_end_of_an_attempt_wakes_a_batch_that_waits_for_it() {
    let limiter = RateLimiter::builder().build().unwrap();
    let start = now();
    lock(&limiter.0.state).close(start + MS, start);
    let open = start + 3 * MS;
    let probe = limiter.turn(None).dispatch(open).unwrap();
    let others = [(); 2].map(|()| waiting(&limiter, open));
    assert!(others.iter().all(is_resting));
    limiter.ended(probe, Answer::None, open);
    assert_eq!(others.each_ref().map(is_resting), [false, true]);
}

#[test]
fn a_number_of_remaining_requests_holds_until_its_reset() {
    let (start, limiter) = (now(), RateLimiter::builder().build().unwrap());
    let mut turn = limiter.turn(None);
    let [first, _second] = [(); 2].map(|()| turn.dispatch(start).unwrap());
    let reset = start + 3_600_000 * MS;
    // The server may not have counted the second attempt.
    limiter.set_remaining(4, reset);
    assert_eq!(dispatches(&mut turn, start), 3);
    assert_eq!(turn.check(start).unwrap_err().open, reset);
    limiter.ended(first, Answer::Done, start);
    assert_eq!(dispatches(&mut turn, start), 0);
    // Another answer tells a higher number: 3 other attempts are in flight.
    limiter.set_remaining(5, reset);
    assert_eq!(dispatches(&mut turn, start), 2);
    assert_eq!(dispatches(&mut turn, reset - MS), 0);
    for _ in 0..10 {
        assert!(turn.dispatch(reset).is_ok(), "from the reset on, the number has no effect");
    }
}
