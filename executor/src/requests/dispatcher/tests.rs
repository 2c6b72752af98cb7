//! Simulations of the dispatcher in virtual time.

use super::*;
use crate::requests::throttle::Throttle;

mod random;
mod room;

type TestDispatcher = Dispatcher<(), (), &'static str>;
type TestEntry = Entry<(), &'static str>;

/// The replies of the service to the attempts at one item, with the milliseconds that each takes.
/// The last entry repeats.
type Replies = Vec<(u64, Reply)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Done,
    Failed,
    Retry(Option<u64>),
}

/// The end of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Exhausted,
    Deadline,
    Cancelled,
}

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A dispatcher and the service that it calls. The service runs all attempts at once.
struct Simulation {
    zero: Instant,
    dispatcher: TestDispatcher,
    limiter: RateLimiter,
    items: Vec<Replies>,
    timeout: Option<u64>,
    delivered: u64,
    /// The attempts that run, each with the time at which it ends.
    running: Vec<(u64, TestEntry, Dispatch, Reply)>,
    ends: Vec<Option<End>>,
    /// The time of each dispatch, and its item.
    dispatched: Vec<(u64, u64)>,
}

impl Simulation {
    fn new(
        retry: Retry,
        limiter: &RateLimiter,
        concurrency: usize,
        window: u64,
        items: Vec<Replies>,
    ) -> Simulation {
        let concurrency = std::num::NonZeroUsize::new(concurrency).unwrap().into();
        let config = RequestConfig { retry, limiter: limiter.clone(), concurrency };
        Simulation {
            zero: Instant::now(),
            dispatcher: Dispatcher::new((), config, None, window, None),
            limiter: limiter.clone(),
            ends: vec![None; items.len()],
            items,
            timeout: None,
            delivered: 0,
            running: Vec::new(),
            dispatched: Vec::new(),
        }
    }

    /// Sets the start of the clock, to share a limiter with an earlier simulation.
    fn starting_at(mut self, zero: Instant) -> Simulation {
        self.zero = zero;
        self
    }

    fn with_timeout(mut self, timeout: Option<u64>) -> Simulation {
        self.timeout = timeout;
        self.dispatcher.item_timeout = timeout.map(millis);
        self
    }

    fn at(&self, time: u64) -> Instant {
        self.zero + millis(time)
    }

    /// Ends the attempts that are over at this time.
    fn end_attempts(&mut self, time: u64) {
        self.running.sort_by_key(|&(end, ref entry, ..)| (end, entry.index));
        while self.running.first().is_some_and(|&(end, ..)| end <= time) {
            let (_, mut entry, dispatch, reply) = self.running.remove(0);
            let index = entry.index as usize;
            self.dispatcher.attempt_ended(entry.index);
            if reply != Reply::Failed {
                let delay = self.limiter.record(dispatch, reply == Reply::Done, self.at(time));
                self.dispatcher.record(reply == Reply::Done, delay);
            }
            let (start, now) = (entry.started.expect("it has run"), self.at(time));
            let is_overdue = self.timeout.is_some_and(|timeout| start + millis(timeout) <= now);
            let end = match reply {
                _ if is_overdue => End::Deadline,
                Reply::Done => End::Done,
                Reply::Failed => End::Failed,
                Reply::Retry(after) => {
                    entry.error = Some("busy");
                    match self.dispatcher.retry_later(now, entry, after.map(millis)) {
                        None => continue,
                        Some(entry) => {
                            assert_eq!(entry.error, Some("busy"), "the last error is kept");
                            End::Exhausted
                        }
                    }
                }
            };
            self.dispatcher.finish(index as u64);
            self.ends[index].get_or_insert(end);
        }
    }

    fn deliver(&mut self) {
        while matches!(self.ends.get(self.delivered as usize), Some(Some(_))) {
            self.delivered += 1;
        }
    }

    /// Takes all actions of this time. Returns the time of the next one.
    fn take_actions(&mut self, time: u64) -> Option<u64> {
        let now = self.at(time);
        while let Some(action) = self.dispatcher.take_action(now, self.delivered) {
            match action {
                Action::Start(entry, dispatch) => {
                    let replies = &self.items[entry.index as usize];
                    let (takes, reply) = replies[(entry.attempts as usize).min(replies.len()) - 1];
                    self.dispatched.push((time, entry.index));
                    self.running.push((time + takes, entry, dispatch, reply));
                }
                Action::End(entry) => {
                    let started = entry.started.expect("an item without an attempt has no end");
                    let is_overdue = self.timeout.is_some_and(|it| started + millis(it) <= now);
                    let end = if is_overdue { End::Deadline } else { End::Exhausted };
                    self.dispatcher.finish(entry.index);
                    self.ends[entry.index as usize].get_or_insert(end);
                }
                Action::Pull(()) => {
                    if (self.dispatcher.counts().0 as usize) < self.items.len() {
                        self.dispatcher.pulled((), now).expect("it is open");
                        assert!(self.dispatcher.give_back(()).is_none());
                    } else {
                        self.dispatcher.source_ended();
                    }
                }
            }
            self.deliver();
        }
        let timer = match self.dispatcher.decide(now, self.delivered) {
            Decision::Rest { at, turn } => {
                let next = at.into_iter().chain(turn).min();
                next.map(|next| next.duration_since(self.zero).as_millis() as u64)
            }
            decision => panic!("{decision:?} was not taken"),
        };
        assert!(timer.is_none_or(|at| at > time), "a timer is set for a later time");
        let result = self.running.iter().map(|&(end, ..)| end).min();
        timer.into_iter().chain(result).min()
    }

    fn cancel(&mut self, time: u64) {
        let (_, waiting) = self.dispatcher.close(self.at(time));
        assert!(waiting.iter().all(|entry| self.ends[entry.index as usize].is_none()));
        self.ends.iter_mut().for_each(|end| _ = end.get_or_insert(End::Cancelled));
    }

    fn is_over(&self) -> bool {
        self.ends.iter().all(Option::is_some) && self.running.is_empty()
    }

    /// Runs from the start to the end, or to the given time. Returns the time of the last action.
    fn run(&mut self, until: u64) -> u64 {
        let mut time = 0;
        loop {
            self.end_attempts(time);
            self.deliver();
            match self.take_actions(time) {
                Some(next) if next <= until => time = next,
                _ => return time,
            }
        }
    }
}

fn limiter(pace: u64, throttle: Option<Throttle>) -> RateLimiter {
    let builder = RateLimiter::builder().pace(millis(pace));
    throttle
        .into_iter()
        .fold(builder, |limiter, throttle| limiter.throttle(throttle))
        .build()
        .unwrap()
}

fn patient() -> Retry {
    Retry::new().within(millis(1_000_000)).wait(millis(10), millis(10))
}

#[test]
fn a_throttle_limits_a_storm_of_retries() {
    // The service accepts one request every 50 ms, and refuses the others. 100 requests come at
    // once.
    let throttle = Throttle::new(Duration::ZERO, millis(1000), millis(1));
    let limiter = limiter(0, Some(throttle));
    let mut simulation =
        Simulation::new(patient(), &limiter, 100, 100, vec![vec![(5, Reply::Done)]; 100]);
    let (mut time, mut accepted_at, mut refused) = (0, None::<u64>, 0);
    while !simulation.is_over() {
        simulation.end_attempts(time);
        simulation.deliver();
        let before = simulation.running.len();
        let next = simulation.take_actions(time);
        for (_, _, _, reply) in simulation.running.iter_mut().skip(before) {
            if accepted_at.is_none_or(|last| last + 50 <= time) {
                accepted_at = Some(time);
            } else {
                refused += 1;
                *reply = Reply::Retry(None);
            }
        }
        let Some(next) = next else { break };
        time = next;
    }
    assert!(simulation.ends.iter().all(|&end| end == Some(End::Done)));
    // There are 99 refusals before the throttle backs off. Then there are a few for each request
    // that is accepted.
    assert!((99..600).contains(&refused), "{refused}");
    assert!(time < 2 * 100 * 50, "it waits not much longer than necessary: {time}");
    let peak = simulation.dispatcher.stats(simulation.zero).peak_delay;
    assert!(peak <= millis(200), "99 refusals at once count as one: {peak:?}");
}

#[test]
fn there_is_no_burst_at_the_start_or_after_a_pause() {
    let limiter = limiter(10, None);
    let mut simulation =
        Simulation::new(patient(), &limiter, 8, 8, vec![vec![(1, Reply::Done)]; 8]);
    simulation.run(1000);
    let times: Vec<u64> = simulation.dispatched.iter().map(|&(time, _)| time).collect();
    assert_eq!(times, [0, 10, 20, 30, 40, 50, 60, 70]);
    // Another batch at the same limiter, much later.
    let mut later = Simulation::new(patient(), &limiter, 8, 8, vec![vec![(1, Reply::Done)]; 3])
        .starting_at(simulation.zero + millis(100_000));
    later.run(1000);
    assert_eq!(later.dispatched, [(0, 0), (10, 1), (20, 2)]);
    let stats = later.dispatcher.stats(later.at(1000));
    assert_eq!((stats.waited_for_pace, stats.waited_for_throttle), (millis(20), Duration::ZERO));
}

#[test]
fn pace_is_not_added_to_the_wait_of_a_retry() {
    let limiter = limiter(10, None);
    let items = vec![vec![(1, Reply::Retry(Some(25))), (1, Reply::Done)]];
    let mut simulation = Simulation::new(patient(), &limiter, 1, 1, items);
    simulation.run(1000);
    assert_eq!(simulation.dispatched, [(0, 0), (26, 0)]);
    assert_eq!(simulation.dispatcher.stats(simulation.at(1000)).waited_for_pace, Duration::ZERO);
}

#[test]
fn a_budget_may_end_during_a_wait() {
    // The retry is due before the end, but the limiter opens after it.
    let limiter = limiter(50, None);
    let retry = Retry::new().within(millis(30)).wait(millis(10), millis(10));
    let items = vec![vec![(1, Reply::Retry(None))]; 2];
    let mut simulation = Simulation::new(retry, &limiter, 2, 2, items);
    simulation.end_attempts(0);
    assert_eq!(simulation.take_actions(0), Some(1));
    simulation.end_attempts(1);
    assert_eq!(
        simulation.take_actions(1),
        Some(30),
        "the end of the budget comes before the limiter opens"
    );
    simulation.end_attempts(30);
    simulation.take_actions(30);
    assert_eq!(simulation.ends[0], Some(End::Exhausted));
    assert_eq!(simulation.dispatched, [(0, 0)]);
    // An item whose next attempt would come after the end of its budget ends immediately.
    let items = vec![vec![(1, Reply::Retry(Some(29)))]];
    let mut simulation = Simulation::new(retry, &RateLimiter::unlimited(), 1, 1, items);
    assert_eq!(simulation.run(1000), 1);
    assert_eq!(simulation.ends[0], Some(End::Exhausted));
}

#[test]
fn a_budget_may_end_during_an_attempt() {
    let retry = Retry::new().within(millis(30)).wait(millis(5), millis(5));
    let run = |last| {
        let items = vec![vec![(10, Reply::Retry(None)), (100, last)]];
        let mut simulation = Simulation::new(retry, &RateLimiter::unlimited(), 1, 1, items);
        assert_eq!(simulation.run(1000), 115);
        assert_eq!(simulation.dispatched, [(0, 0), (15, 0)]);
        simulation.ends[0]
    };
    assert_eq!(
        run(Reply::Done),
        Some(End::Done),
        "an attempt that started within the budget counts"
    );
    assert_eq!(run(Reply::Retry(None)), Some(End::Exhausted));
}

#[test]
fn closing_a_batch_ends_each_kind_of_wait() {
    let throttle = Throttle::new(millis(40), millis(80), millis(1));
    let slow = vec![vec![(1, Reply::Retry(Some(500)))]; 3];
    let done = vec![vec![(20, Reply::Done)]; 3];
    for (wait, limiter, concurrency, window, items) in [
        ("for a retry", limiter(0, None), 3, 3, slow.clone()),
        ("for the pace", limiter(60, None), 3, 3, done.clone()),
        ("for the throttle", limiter(0, Some(throttle)), 3, 3, done.clone()),
        ("for a permit", limiter(0, None), 1, 3, done.clone()),
        ("for space in the window", limiter(0, None), 3, 1, slow),
    ] {
        let mut simulation = Simulation::new(patient(), &limiter, concurrency, window, items);
        simulation.run(10);
        let dispatched = simulation.dispatched.len();
        simulation.cancel(10);
        assert!(simulation.is_over() || !simulation.running.is_empty(), "{wait}");
        simulation.run(10_000);
        assert_eq!(simulation.dispatched.len(), dispatched, "{wait}");
        assert!(simulation.ends.iter().all(|&end| end == Some(End::Cancelled)), "{wait}");
        simulation.dispatcher.source_ended();
        assert!(simulation.dispatcher.is_done(), "{wait}");
    }
}

#[test]
fn failures_and_retries_are_counted_separately() {
    let items = vec![
        vec![(1, Reply::Failed)],
        vec![(1, Reply::Retry(None)), (1, Reply::Failed)],
        vec![(1, Reply::Retry(None)), (1, Reply::Retry(None)), (1, Reply::Done)],
        vec![(1, Reply::Retry(None))],
        vec![(1, Reply::Done)],
    ];
    let mut simulation =
        Simulation::new(patient().retries(2), &RateLimiter::unlimited(), 5, 5, items);
    simulation.run(1000);
    let ends = [End::Failed, End::Failed, End::Done, End::Exhausted, End::Done];
    assert!(simulation.ends.iter().eq(ends.map(Some).iter()));
    let stats = simulation.dispatcher.stats(simulation.zero);
    assert_eq!((stats.attempts, stats.capacity_retries), (1 + 2 + 3 + 3 + 1, 1 + 2 + 3));
}

#[test]
fn waiting_items_keep_no_permit() {
    let items = vec![vec![(1, Reply::Retry(Some(1000))), (1, Reply::Done)]; 10_000];
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 2, 10_000, items);
    assert!((10_000..10_100).contains(&simulation.run(u64::MAX)), "two attempts always run");
    assert!(simulation.ends.iter().all(|&end| end == Some(End::Done)));
}

#[test]
fn an_attempt_is_due_if_only_a_thread_is_missing() {
    let due = |simulation: &Simulation, time| {
        let since = simulation.dispatcher.due_since(simulation.at(time));
        since.map(|since| since.duration_since(simulation.zero).as_millis())
    };
    let run_until = |simulation: &mut Simulation, time| {
        simulation.end_attempts(time);
        simulation.take_actions(time);
    };
    // It waits for its retry.
    let items = vec![vec![(10, Reply::Retry(Some(20)))]];
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 2, 2, items);
    run_until(&mut simulation, 0);
    assert_eq!(due(&simulation, 5), None, "it runs");
    run_until(&mut simulation, 10);
    assert_eq!(
        [10, 29, 30, 99].map(|time| due(&simulation, time)),
        [None, None, Some(30), Some(30)]
    );
    run_until(&mut simulation, 100);
    assert_eq!(due(&simulation, 105), None, "it runs again");
    // It waits for the limiter.
    let items = vec![vec![(1, Reply::Done)]; 2];
    let mut simulation = Simulation::new(patient(), &limiter(50, None), 2, 2, items);
    run_until(&mut simulation, 0);
    assert_eq!(
        [0, 49, 50, 99].map(|time| due(&simulation, time)),
        [None, None, Some(50), Some(50)]
    );
    // It waits for a permit.
    let items = vec![vec![(10, Reply::Retry(Some(5)))], vec![(90, Reply::Done)]];
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 1, 2, items);
    run_until(&mut simulation, 0);
    run_until(&mut simulation, 10);
    assert_eq!((simulation.dispatched.len(), due(&simulation, 50)), (2, None));
    simulation.end_attempts(100);
    let decision = simulation.dispatcher.decide(simulation.at(100), 0);
    assert_eq!((decision, due(&simulation, 120)), (Decision::Start(0), Some(100)));
    simulation.cancel(130);
    assert_eq!(due(&simulation, 140), None);
}

#[test]
fn a_full_window_of_retries_wakes_at_the_next_due_time() {
    let items: Vec<Replies> =
        (0..4).map(|n| vec![(1, Reply::Retry(Some(300 - 10 * n))), (1, Reply::Done)]).collect();
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 4, 4, items);
    simulation.end_attempts(0);
    assert_eq!(simulation.take_actions(0), Some(1));
    simulation.end_attempts(1);
    assert!(!simulation.dispatcher.is_running());
    assert_eq!(simulation.take_actions(1), Some(271), "the last item is due first");
    simulation.run(1000);
    let second: Vec<u64> = simulation.dispatched[4..].iter().map(|&(_, index)| index).collect();
    assert_eq!(second, [3, 2, 1, 0]);
}

#[test]
fn only_a_waiting_item_can_be_skipped() {
    let items = vec![vec![(1, Reply::Retry(None))]];
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 1, 1, items);
    simulation.take_actions(0);
    assert!(simulation.dispatcher.skip(0).is_none(), "it runs");
    simulation.end_attempts(1);
    assert_eq!(simulation.dispatcher.skip(0).map(|entry| entry.attempts), Some(1));
    assert!(simulation.dispatcher.skip(0).is_none());
    simulation.dispatcher.source_ended();
    assert!(simulation.dispatcher.is_done());
}

#[test]
fn an_item_is_ending_from_its_last_action_to_its_outcome() {
    let items = vec![vec![(1, Reply::Retry(None))]];
    let retry = patient().within(millis(400));
    let mut simulation = Simulation::new(retry, &RateLimiter::unlimited(), 1, 1, items);
    simulation.take_actions(0);
    assert!(!simulation.dispatcher.is_ending(0), "its attempt may take long");
    let (_, entry, ..) = simulation.running.remove(0);
    simulation.dispatcher.attempt_ended(0);
    assert!(simulation.dispatcher.is_ending(0));
    let now = simulation.at(1);
    assert!(simulation.dispatcher.retry_later(now, entry, None).is_none());
    assert!(!simulation.dispatcher.is_ending(0), "it has another attempt");
    let end = simulation.at(400);
    let Some(Action::End(_)) = simulation.dispatcher.take_action(end, 0) else {
        panic!("its budget is used up");
    };
    assert!(simulation.dispatcher.is_ending(0));
    assert!(simulation.dispatcher.skip(0).is_none());
    simulation.dispatcher.finish(0);
    assert!(!simulation.dispatcher.is_ending(0));
}

#[test]
fn a_wait_beyond_the_clock_ends_the_item() {
    let forever = Retry::new().within(Duration::MAX).wait(Duration::MAX, Duration::MAX);
    let items = vec![vec![(1, Reply::Retry(None))]];
    let mut simulation = Simulation::new(forever, &RateLimiter::unlimited(), 1, 1, items);
    simulation.run(10);
    assert_eq!(simulation.ends[0], Some(End::Exhausted), "its next attempt would never be due");
    let limiter = RateLimiter::builder().pace(Duration::MAX).build().unwrap();
    let mut simulation =
        Simulation::new(patient(), &limiter, 2, 2, vec![vec![(1, Reply::Done)]; 2]);
    simulation.run(u64::MAX / 2);
    assert_eq!(simulation.dispatched[0], (0, 0));
}
