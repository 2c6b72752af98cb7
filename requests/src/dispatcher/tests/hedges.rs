//! Which attempts get a hedge, and when.

use std::num::{NonZeroU32, NonZeroUsize};

use super::*;
use crate::retry_budget::RetryBudget;

fn simulation(hedge: Hedge, concurrency: usize, items: Vec<Replies>) -> Simulation {
    let window = items.len() as u64;
    Simulation::new(patient(), &RateLimiter::unlimited(), concurrency, window, items)
        .with_hedge(Some(hedge))
}

/// Returns the hedges of a batch that were started, have won, and were wasted.
fn hedges(simulation: &Simulation) -> [u64; 3] {
    let stats = simulation.dispatcher.stats(simulation.zero);
    [stats.hedges, stats.hedges_won, stats.hedges_wasted]
}

/// Returns replies that take these times.
fn times(times: &[u64]) -> Replies {
    times.iter().map(|&time| (time, Reply::Done)).collect()
}

#[test]
fn only_the_first_item_without_an_outcome_gets_a_hedge() {
    let items = vec![times(&[5]), times(&[100, 7]), times(&[200, 9]), times(&[12])];
    let mut simulation = simulation(Hedge::after(millis(10)), 9, items);
    simulation.run(1000);
    // Item 2 is the first one when the hedge of item 1 has won.
    assert_eq!(simulation.dispatched, [(0, 0), (0, 1), (0, 2), (0, 3), (10, 1), (17, 2)]);
    assert_eq!(hedges(&simulation), [2, 2, 0]);
    assert!(simulation.ends.iter().all(|&end| end == Some(End::Done)));
}

#[test]
fn a_hedge_is_wasted_if_the_first_attempt_wins() {
    let mut simulation = simulation(Hedge::after(millis(10)), 9, vec![times(&[15, 50])]);
    assert_eq!(simulation.run(14), 10);
    assert_eq!(hedges(&simulation), [1, 0, 0]);
    simulation.end_attempts(15);
    assert_eq!((simulation.ends[0], hedges(&simulation)), (Some(End::Done), [1, 0, 1]));
    assert!(simulation.dispatcher.state().running > 0, "the hedge keeps its permit");
    simulation.end_attempts(60);
    assert_eq!(simulation.dispatcher.state().running, 0);
}

#[test]
fn a_hedge_needs_a_permit() {
    let items = vec![times(&[100, 1]), times(&[40]), times(&[30])];
    let mut simulation = simulation(Hedge::after(millis(10)), 2, items);
    simulation.run(1000);
    // At 40 there is a permit, which the hedge gets before another item.
    assert_eq!(simulation.dispatched, [(0, 0), (0, 1), (40, 0), (41, 2)]);
}

#[test]
fn a_hedge_waits_for_its_turn_at_the_limiter() {
    let run = |limiter: &RateLimiter, closed: bool| {
        let items = vec![times(&[100, 7]), times(&[50])];
        let mut simulation = Simulation::new(patient(), limiter, 9, 9, items)
            .with_hedge(Some(Hedge::after(millis(10))));
        simulation.take_actions(0);
        if closed {
            limiter.close_at(simulation.at(300), simulation.at(1));
        }
        simulation.run(1000);
        (simulation.dispatched.clone(), hedges(&simulation))
    };
    let paced = limiter(30, None);
    let expected = [(0, 0), (30, 0), (60, 1), (90, 1)];
    assert_eq!(run(&paced, false), (expected.to_vec(), [2, 1, 1]));
    let closed = limiter(0, None).without_jitter();
    // The first attempt wins while the service is closed.
    assert_eq!(run(&closed, true), (vec![(0, 0), (0, 1)], [0; 3]));
}

#[test]
fn a_retry_budget_bounds_hedges() {
    let tokens = |count| RetryBudget::new(NonZeroU32::new(count).unwrap(), 0.0);
    for (count, expected) in [(2, 0), (3, 1)] {
        // A failure of item 1 takes a token.
        let items = vec![times(&[100, 7]), vec![(1, Reply::Retry(Some(1))), (1, Reply::Done)]];
        let limiter = RateLimiter::unlimited();
        let retry = patient().budget(tokens(count));
        let mut simulation = Simulation::new(retry, &limiter, 9, 9, items)
            .with_hedge(Some(Hedge::after(millis(10))));
        simulation.run(1000);
        assert_eq!(hedges(&simulation)[0], expected, "{count}");
    }
}

#[test]
fn an_item_has_one_hedge_in_each_round() {
    let busy = (30, Reply::Retry(Some(5)));
    let mut simulation =
        simulation(Hedge::after(millis(10)), 9, vec![vec![busy, busy, busy, (50, Reply::Done)]]);
    simulation.run(1000);
    // Attempts 1 and 2 end at 30 and 40, and the item waits from then on.
    assert_eq!(simulation.dispatched, [(0, 0), (10, 0), (45, 0), (55, 0)]);
    assert_eq!(hedges(&simulation), [2, 1, 1]);
}

#[test]
fn hedges_are_no_retries() {
    let busy = (30, Reply::Retry(Some(0)));
    let mut simulation = simulation(Hedge::after(millis(10)), 9, vec![vec![busy; 9]]);
    simulation.retry = patient().retries(2);
    simulation.run(1000);
    let stats = simulation.dispatcher.stats(simulation.zero);
    assert_eq!((stats.attempts, stats.capacity_retries, stats.hedges), (6, 6, 3));
    assert_eq!(simulation.ends, [Some(End::Exhausted)]);
}

#[test]
fn an_item_without_time_gets_no_hedge() {
    let run = |retry: Retry, timeout| {
        let limiter = RateLimiter::unlimited();
        let mut simulation = Simulation::new(retry, &limiter, 9, 9, vec![times(&[100])])
            .with_timeout(timeout)
            .with_hedge(Some(Hedge::after(millis(10))));
        simulation.run(1000);
        hedges(&simulation)[0]
    };
    assert_eq!(run(patient(), None), 1);
    assert_eq!(run(patient().within(millis(10)), None), 0);
    assert_eq!(run(patient().within(millis(11)), None), 1);
    assert_eq!(run(patient(), Some(10)), 0);
    assert_eq!(run(patient(), Some(11)), 1);
}

#[test]
fn a_quantile_of_the_values_decides() {
    let mut items = vec![times(&[4]); 19];
    items.push(times(&[8]));
    items.push(times(&[100, 3]));
    let mut simulation = simulation(Hedge::at_quantile(0.95).min_samples(20), 1, items);
    simulation.dispatcher.config.concurrency = NonZeroUsize::new(1).unwrap().into();
    simulation.run(83);
    assert_eq!((simulation.delivered, simulation.dispatched.len()), (19, 20));
    simulation.dispatcher.config.concurrency = NonZeroUsize::new(2).unwrap().into();
    simulation.run_from(84, 1000);
    // 95 of 100 values take at most 4 ms.
    assert_eq!(simulation.dispatched[20..], [(84, 20), (89, 20)]);
}
