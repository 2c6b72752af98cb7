//! Simulations of the dispatcher in virtual time.

use super::*;
use crate::limiter::Dispatched;
use crate::throttle::Throttle;

mod budgets;
mod closing;
mod hedges;
mod random;
mod room;
mod simulation;

use self::simulation::Simulation;

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
    Closed(u64),
}

impl Reply {
    fn answer(self) -> Answer {
        match self {
            Reply::Done => Answer::Done,
            Reply::Failed => Answer::Failed,
            Reply::Retry(_) => Answer::Retry,
            Reply::Closed(time) => Answer::Closed(millis(time)),
        }
    }
}

/// The end of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Exhausted,
    Time,
    Budget,
    Deadline,
    Cancelled,
}

impl From<NoRetry> for End {
    fn from(why: NoRetry) -> End {
        match why {
            NoRetry::Exhausted => End::Exhausted,
            NoRetry::Time => End::Time,
            NoRetry::Budget => End::Budget,
        }
    }
}

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
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
    Retry::new().within(millis(1_000_000)).wait(millis(10), millis(10)).without_jitter()
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
    let retry = patient().within(millis(30));
    let items = vec![vec![(1, Reply::Retry(None))]; 2];
    let mut simulation = Simulation::new(retry.clone(), &limiter, 2, 2, items);
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
    assert_eq!(simulation.ends[0], Some(End::Time));
    assert_eq!(simulation.dispatched, [(0, 0)]);
    // An item whose next attempt would come after the end of its budget ends immediately.
    let items = vec![vec![(1, Reply::Retry(Some(29)))]];
    let mut simulation = Simulation::new(retry, &RateLimiter::unlimited(), 1, 1, items);
    assert_eq!(simulation.run(1000), 1);
    assert_eq!(simulation.ends[0], Some(End::Time));
}

#[test]
fn a_budget_may_end_during_an_attempt() {
    let retry = patient().within(millis(30)).wait(millis(5), millis(5)).without_jitter();
    let run = |last| {
        let items = vec![vec![(10, Reply::Retry(None)), (100, last)]];
        let mut simulation = Simulation::new(retry.clone(), &RateLimiter::unlimited(), 1, 1, items);
        assert_eq!(simulation.run(1000), 115);
        assert_eq!(simulation.dispatched, [(0, 0), (15, 0)]);
        simulation.ends[0]
    };
    assert_eq!(
        run(Reply::Done),
        Some(End::Done),
        "an attempt that started within the budget counts"
    );
    assert_eq!(run(Reply::Retry(None)), Some(End::Time));
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
        assert!(simulation.dispatcher.state().is_done(), "{wait}");
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
    assert_eq!(simulation.dispatcher.state().running, 0);
    assert_eq!(simulation.take_actions(1), Some(271), "the last item is due first");
    simulation.run(1000);
    let second: Vec<u64> = simulation.dispatched[4..].iter().map(|&(_, index)| index).collect();
    assert_eq!(second, [3, 2, 1, 0]);
}

#[test]
fn a_waiting_item_can_be_skipped() {
    let items = vec![vec![(1, Reply::Retry(None))]];
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 1, 1, items);
    simulation.take_actions(0);
    simulation.end_attempts(1);
    let skipped = simulation.dispatcher.skip(0);
    assert!(skipped.is_some_and(|(entry, attempts)| entry.attempts == 1 && attempts.is_empty()));
    assert!(simulation.dispatcher.skip(0).is_none());
    simulation.dispatcher.source_ended();
    assert!(simulation.dispatcher.state().is_done());
}

#[test]
fn the_result_of_an_item_that_was_skipped_while_it_ran_is_late() {
    let items = vec![vec![(1, Reply::Done)]; 2];
    let mut simulation = Simulation::new(patient(), &RateLimiter::unlimited(), 1, 2, items);
    simulation.take_actions(0);
    let (_, id, ..) = simulation.running.remove(0);
    let skipped = simulation.dispatcher.skip(0);
    assert!(skipped.is_some_and(|(entry, attempts)| entry.attempts == 1 && attempts[..] == [id]));
    assert!(!simulation.dispatcher.counts_attempt(id));
    assert!(!simulation.dispatcher.is_ending(0) && simulation.dispatcher.state().running > 0);
    let now = simulation.at(1);
    let decision = simulation.dispatcher.decide(now, 1);
    assert!(matches!(decision, Decision::Rest { .. }), "its attempt keeps its permit");
    assert!(matches!(
        simulation.dispatcher.attempt_ended(id, now, Verdict::Value, Answer::Done),
        Ended::Late
    ));
    assert_eq!(simulation.dispatcher.state().running, 1, "its result is not dropped yet");
    simulation.dispatcher.refused();
    assert_eq!(simulation.dispatcher.state().running, 0);
    assert_ne!(simulation.dispatcher.decide(now, 1), decision);
}

#[test]
fn a_time_out_says_nothing_about_an_attempt_that_runs() {
    for hedge in [None, Some(Hedge::after(millis(10)))] {
        let (retry, items) =
            (patient().attempt_timeout(millis(20)), vec![vec![(100, Reply::Done)]]);
        let mut simulation =
            Simulation::new(retry, &RateLimiter::unlimited(), 2, 1, items).with_hedge(hedge);
        simulation.run(19);
        let now = simulation.at(20);
        let action = simulation.dispatcher.take_action(now, 0);
        let Some(Action::TimeOut(_, entry)) = action else { panic!("it has to be overdue") };
        // The hedge goes on. Without one, another attempt starts.
        assert_eq!(entry.is_none(), hedge.is_some());
        if let Some(mut entry) = entry {
            entry.timed_out = true;
            let wait = RetryWait::For(Duration::ZERO);
            assert!(simulation.dispatcher.retry_later(now, entry, wait).is_none());
            simulation.take_actions(20);
        }
        let (entry, attempts) = simulation.dispatcher.skip(0).unwrap();
        assert_eq!((entry.attempts, attempts.len(), entry.timed_out), (2, 1, false));
    }
}

#[test]
fn an_item_is_ending_from_its_last_action_to_its_outcome() {
    let items = vec![vec![(1, Reply::Retry(None))]];
    let retry = patient().within(millis(400));
    let mut simulation = Simulation::new(retry, &RateLimiter::unlimited(), 1, 1, items);
    simulation.take_actions(0);
    assert!(!simulation.dispatcher.is_ending(0), "its attempt may take long");
    let (_, id, ..) = simulation.running.remove(0);
    let now = simulation.at(1);
    let ended = simulation.dispatcher.attempt_ended(id, now, Verdict::Open, Answer::Retry);
    let Ended::Counts(entry, _) = ended else { panic!("it has no time-out") };
    assert!(simulation.dispatcher.is_ending(0));
    assert!(simulation.dispatcher.retry_later(now, entry, RetryWait::For(millis(10))).is_none());
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
    let forever =
        Retry::new().within(Duration::MAX).wait(Duration::MAX, Duration::MAX).without_jitter();
    let items = vec![vec![(1, Reply::Retry(None))]];
    let mut simulation = Simulation::new(forever, &RateLimiter::unlimited(), 1, 1, items);
    simulation.run(10);
    assert_eq!(simulation.ends[0], Some(End::Time), "its next attempt would never be due");
    let limiter = RateLimiter::builder().pace(Duration::MAX).build().unwrap();
    let mut simulation =
        Simulation::new(patient(), &limiter, 2, 2, vec![vec![(1, Reply::Done)]; 2]);
    simulation.run(u64::MAX / 2);
    assert_eq!(simulation.dispatched[0], (0, 0));
}
