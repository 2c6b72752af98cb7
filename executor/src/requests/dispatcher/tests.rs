//! Runs in virtual time.

use super::*;
use crate::requests::throttle::Throttle;

mod random;

type Plain = Dispatcher<(), (), &'static str>;

/// The attempts at an item of a plan: how long each takes, and how it ends. The last entry repeats.
type Script = Vec<(u64, Step)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Failed,
    Again(Option<u64>),
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

/// A dispatcher with its service. The service has as many workers as the concurrency allows.
struct Play {
    zero: Instant,
    dispatcher: Plain,
    limiter: RateLimiter,
    items: Vec<Script>,
    timeout: Option<u64>,
    delivered: u64,
    running: Vec<(u64, Entry<(), &'static str>, Dispatch, Step)>,
    ends: Vec<Option<End>>,
    /// The dispatches: an item and its time.
    dispatched: Vec<(u64, u64)>,
    free: bool,
}

impl Play {
    fn new(
        retry: Retry,
        limiter: &RateLimiter,
        concurrency: usize,
        window: u64,
        items: Vec<Script>,
    ) -> Play {
        Play {
            zero: Instant::now(),
            dispatcher: Dispatcher::new((), retry, None, concurrency, window),
            limiter: limiter.clone(),
            ends: vec![None; items.len()],
            items,
            timeout: None,
            delivered: 0,
            running: Vec::new(),
            dispatched: Vec::new(),
            free: true,
        }
    }

    /// Sets the start of the clock to the start of another play, whose limiter it shares.
    fn beside(mut self, zero: Instant) -> Play {
        self.zero = zero;
        self
    }

    fn with_timeout(mut self, timeout: Option<u64>) -> Play {
        self.timeout = timeout;
        self.dispatcher.item_timeout = timeout.map(millis);
        self
    }

    fn at(&self, time: u64) -> Instant {
        self.zero + millis(time)
    }

    /// Ends the attempts that are over at this time.
    fn land(&mut self, time: u64) {
        self.running.sort_by_key(|&(end, ref entry, ..)| (end, entry.index));
        while self.running.first().is_some_and(|&(end, ..)| end <= time) {
            let (_, mut entry, dispatch, step) = self.running.remove(0);
            let index = entry.index as usize;
            if step != Step::Failed {
                let delay = self.limiter.record(dispatch, step == Step::Done);
                self.dispatcher.record(step == Step::Done, delay);
            }
            let start = entry.started.expect("it has run");
            let now = self.at(time);
            let is_overdue = self.timeout.is_some_and(|timeout| start + millis(timeout) <= now);
            let end = match step {
                _ if is_overdue => End::Deadline,
                Step::Done => End::Done,
                Step::Failed => End::Failed,
                Step::Again(after) => {
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
            self.dispatcher.finish();
            self.ends[index].get_or_insert(end);
        }
    }

    fn deliver(&mut self) {
        while matches!(self.ends.get(self.delivered as usize), Some(Some(_))) {
            self.delivered += 1;
        }
    }

    /// Takes all actions of this time. Returns the time of the next one.
    fn act(&mut self, time: u64) -> Option<u64> {
        let now = self.at(time);
        while self.free {
            match self.dispatcher.take_action(now, &self.limiter, self.delivered) {
                Action::Start(entry, dispatch) => {
                    let script = &self.items[entry.index as usize];
                    let (takes, step) = script[(entry.attempts as usize - 1).min(script.len() - 1)];
                    self.dispatched.push((time, entry.index));
                    self.running.push((time + takes, entry, dispatch, step));
                }
                Action::End(entry) => {
                    let started = entry.started.expect("only such that ran have an end");
                    let is_overdue = self.timeout.is_some_and(|it| started + millis(it) <= now);
                    let end = if is_overdue { End::Deadline } else { End::Exhausted };
                    self.dispatcher.finish();
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
                Action::Rest => break,
            }
            self.deliver();
        }
        let timer = match self.dispatcher.decide(now, &self.limiter, self.delivered) {
            Decision::Rest(at) => at.map(|at| at.duration_since(self.zero).as_millis() as u64),
            look => panic!("{look:?} was left"),
        };
        assert!(timer.is_none_or(|at| at > time), "an timer that is worth it");
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

    /// Plays from the start to the end, or to the given time.
    fn run(&mut self, until: u64) -> u64 {
        let mut time = 0;
        loop {
            self.land(time);
            self.deliver();
            match self.act(time) {
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
fn a_retry_storm_is_tamed() {
    // The service serves one request in 50 ms, and refuses the others. 100 requests come at once.
    let throttle = Throttle::new(Duration::ZERO, millis(1000), millis(1));
    let limiter = limiter(0, Some(throttle));
    let mut play = Play::new(patient(), &limiter, 100, 100, vec![vec![(5, Step::Done)]; 100]);
    let (mut time, mut served_at, mut refused) = (0, None::<u64>, 0);
    while !play.is_over() {
        play.land(time);
        play.deliver();
        let before = play.running.len();
        let next = play.act(time);
        for (_, _, _, step) in play.running.iter_mut().skip(before) {
            if served_at.is_none_or(|last| last + 50 <= time) {
                served_at = Some(time);
            } else {
                refused += 1;
                *step = Step::Again(None);
            }
        }
        let Some(next) = next else { break };
        time = next;
    }
    assert!(play.ends.iter().all(|&end| end == Some(End::Done)));
    // There is one burst of 99 before the first refusal, and then a few for each request that is
    // served.
    assert!((99..600).contains(&refused), "{refused}");
    assert!(time < 2 * 100 * 50, "it does not wait much longer than it has to: {time}");
    let peak = play.dispatcher.stats(play.zero, &limiter).peak_delay;
    assert!(peak <= millis(200), "99 refusals at once are one: {peak:?}");
}

#[test]
fn no_burst_at_the_start_nor_after_idle() {
    let limiter = limiter(10, None);
    let mut play = Play::new(patient(), &limiter, 8, 8, vec![vec![(1, Step::Done)]; 8]);
    play.run(1000);
    let times: Vec<u64> = play.dispatched.iter().map(|&(time, _)| time).collect();
    assert_eq!(times, [0, 10, 20, 30, 40, 50, 60, 70]);
    // Another batch at the same limiter, much later.
    let mut later = Play::new(patient(), &limiter, 8, 8, vec![vec![(1, Step::Done)]; 3])
        .beside(play.zero + millis(100_000));
    later.run(1000);
    assert_eq!(later.dispatched, [(0, 0), (10, 1), (20, 2)]);
    let stats = later.dispatcher.stats(later.at(1000), &limiter);
    assert_eq!((stats.waited_for_pace, stats.waited_for_throttle), (millis(20), Duration::ZERO));
}

#[test]
fn pace_is_not_added_to_the_wait_of_a_retry() {
    let limiter = limiter(10, None);
    let items = vec![vec![(1, Step::Again(Some(25))), (1, Step::Done)]];
    let mut play = Play::new(patient(), &limiter, 1, 1, items);
    play.run(1000);
    assert_eq!(play.dispatched, [(0, 0), (26, 0)]);
    assert_eq!(play.dispatcher.stats(play.at(1000), &limiter).waited_for_pace, Duration::ZERO);
}

#[test]
fn a_budget_ends_during_a_wait() {
    // The retry is due before the end, but the limiter opens after it.
    let limiter = limiter(50, None);
    let retry = Retry::new().within(millis(30)).wait(millis(10), millis(10));
    let items = vec![vec![(1, Step::Again(None))]; 2];
    let mut play = Play::new(retry, &limiter, 2, 2, items);
    play.land(0);
    assert_eq!(play.act(0), Some(1));
    play.land(1);
    assert_eq!(play.act(1), Some(30), "the end of the budget, and not of the pace");
    play.land(30);
    play.act(30);
    assert_eq!(play.ends[0], Some(End::Exhausted));
    assert_eq!(play.dispatched, [(0, 0)]);
    // An item that would be due after the end does not wait for it.
    let items = vec![vec![(1, Step::Again(Some(29)))]];
    let mut play = Play::new(retry, &RateLimiter::unlimited(), 1, 1, items);
    assert_eq!(play.run(1000), 1);
    assert_eq!(play.ends[0], Some(End::Exhausted));
}

#[test]
fn a_budget_ends_during_an_attempt() {
    let retry = Retry::new().within(millis(30)).wait(millis(5), millis(5));
    let run = |last| {
        let items = vec![vec![(10, Step::Again(None)), (100, last)]];
        let mut play = Play::new(retry, &RateLimiter::unlimited(), 1, 1, items);
        assert_eq!(play.run(1000), 115);
        assert_eq!(play.dispatched, [(0, 0), (15, 0)]);
        play.ends[0]
    };
    assert_eq!(run(Step::Done), Some(End::Done), "what has started counts");
    assert_eq!(run(Step::Again(None)), Some(End::Exhausted));
}

#[test]
fn a_shutdown_ends_each_kind_of_wait() {
    let throttle = Throttle::new(millis(40), millis(80), millis(1));
    let slow = vec![vec![(1, Step::Again(Some(500)))]; 3];
    let done = vec![vec![(20, Step::Done)]; 3];
    for (wait, limiter, concurrency, window, items) in [
        ("for a retry", limiter(0, None), 3, 3, slow.clone()),
        ("for the pace", limiter(60, None), 3, 3, done.clone()),
        ("for the throttle", limiter(0, Some(throttle)), 3, 3, done.clone()),
        ("for a permit", limiter(0, None), 1, 3, done.clone()),
        ("for room in the window", limiter(0, None), 3, 1, slow),
    ] {
        let mut play = Play::new(patient(), &limiter, concurrency, window, items);
        play.run(10);
        let dispatched = play.dispatched.len();
        play.cancel(10);
        assert!(play.is_over() || !play.running.is_empty(), "{wait}");
        play.run(10_000);
        assert_eq!(play.dispatched.len(), dispatched, "{wait}");
        assert!(play.ends.iter().all(|&end| end == Some(End::Cancelled)), "{wait}");
        play.dispatcher.source_ended();
        assert!(play.dispatcher.is_done(), "{wait}");
    }
}

#[test]
fn permanent_and_capacity_errors_are_told_apart() {
    let items = vec![
        vec![(1, Step::Failed)],
        vec![(1, Step::Again(None)), (1, Step::Failed)],
        vec![(1, Step::Again(None)), (1, Step::Again(None)), (1, Step::Done)],
        vec![(1, Step::Again(None))],
        vec![(1, Step::Done)],
    ];
    let mut play = Play::new(patient().retries(2), &RateLimiter::unlimited(), 5, 5, items);
    play.run(1000);
    let ends = [End::Failed, End::Failed, End::Done, End::Exhausted, End::Done];
    assert!(play.ends.iter().eq(ends.map(Some).iter()));
    let stats = play.dispatcher.stats(play.zero, &RateLimiter::unlimited());
    assert_eq!((stats.attempts, stats.capacity_retries), (1 + 2 + 3 + 3 + 1, 1 + 2 + 3));
}

#[test]
fn no_permit_is_kept_while_all_items_wait() {
    let items = vec![vec![(1, Step::Again(Some(1000))), (1, Step::Done)]; 10_000];
    let mut play = Play::new(patient(), &RateLimiter::unlimited(), 2, 10_000, items);
    assert!((10_000..10_100).contains(&play.run(u64::MAX)), "two are always running");
    assert!(play.ends.iter().all(|&end| end == Some(End::Done)));
}

#[test]
fn a_full_window_of_retries_wakes_at_the_next_due_time() {
    let items: Vec<Script> =
        (0..4).map(|n| vec![(1, Step::Again(Some(300 - 10 * n))), (1, Step::Done)]).collect();
    let mut play = Play::new(patient(), &RateLimiter::unlimited(), 4, 4, items);
    play.land(0);
    assert_eq!(play.act(0), Some(1));
    play.land(1);
    assert!(!play.dispatcher.is_running());
    assert_eq!(play.act(1), Some(271), "the last item is due first");
    play.run(1000);
    let second: Vec<u64> = play.dispatched[4..].iter().map(|&(_, index)| index).collect();
    assert_eq!(second, [3, 2, 1, 0]);
}

#[test]
fn what_is_given_up_while_it_waits_comes_out() {
    let items = vec![vec![(1, Step::Again(None))]];
    let mut play = Play::new(patient(), &RateLimiter::unlimited(), 1, 1, items);
    play.act(0);
    assert!(play.dispatcher.skip(0).is_none(), "it runs");
    play.land(1);
    assert_eq!(play.dispatcher.skip(0).map(|entry| entry.attempts), Some(1));
    assert!(play.dispatcher.skip(0).is_none());
    play.dispatcher.source_ended();
    assert!(play.dispatcher.is_done());
}

#[test]
fn waits_beyond_the_clock_are_none() {
    let forever = Retry::new().within(Duration::MAX).wait(Duration::MAX, Duration::MAX);
    let mut play =
        Play::new(forever, &RateLimiter::unlimited(), 1, 1, vec![vec![(1, Step::Again(None))]]);
    play.run(10);
    assert_eq!(play.ends[0], Some(End::Exhausted), "it would never be due");
    let limiter = RateLimiter::builder().pace(Duration::MAX).build().unwrap();
    let mut play = Play::new(patient(), &limiter, 2, 2, vec![vec![(1, Step::Done)]; 2]);
    play.run(u64::MAX / 2);
    assert_eq!(play.dispatched[0], (0, 0));
}
