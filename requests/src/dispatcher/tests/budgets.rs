//! Attempts that end at the same instant, before their threads ask for the next attempts.

use std::num::NonZeroU32;

use super::*;
use crate::retry_budget::RetryBudget;

/// Returns a simulation of two items, whose budget allows one retry.
fn simulation(retry: Retry) -> Simulation {
    let retry = retry.budget(RetryBudget::new(NonZeroU32::new(3).unwrap(), 0.0));
    let busy = vec![(5, Reply::Retry(None))];
    Simulation::new(retry, &RateLimiter::unlimited(), 9, 9, vec![busy; 2])
}

/// Asks for the next attempts. Returns the reasons why there are none.
fn ask(simulation: &mut Simulation, entries: Vec<TestEntry>) -> Vec<Option<NoRetry>> {
    let now = simulation.at(5);
    let ask = |entry| simulation.dispatcher.retry_later(now, entry, RetryWait::For(millis(1)));
    entries.into_iter().map(ask).map(|left| left.map(|(_, why)| why)).collect()
}

/// The decisions if one attempt ends, and asks, after the other.
const ONE_BY_ONE: [Option<NoRetry>; 2] = [None, Some(NoRetry::Budget)];

#[test]
fn failures_at_once_get_the_retries_that_they_get_one_by_one() {
    let mut simulation = simulation(patient());
    simulation.run(0);
    let now = simulation.at(5);
    let ended = std::mem::take(&mut simulation.running).into_iter().map(|(_, id, ..)| {
        match simulation.dispatcher.attempt_ended(id, now, Verdict::Open, Answer::Retry) {
            Ended::Counts(entry, _) => entry,
            _ => panic!("it counts"),
        }
    });
    let entries = ended.collect();
    assert_eq!(ask(&mut simulation, entries), ONE_BY_ONE);
}

#[test]
fn timeouts_at_once_get_the_retries_that_they_get_one_by_one() {
    let mut simulation = simulation(patient().attempt_timeout(millis(5)));
    simulation.run(0);
    let now = simulation.at(5);
    let entries = [(); 2].map(|()| match simulation.dispatcher.take_action(now, 0) {
        Some(Action::TimeOut(_, Some(entry))) => entry,
        _ => panic!("its time is over"),
    });
    assert_eq!(ask(&mut simulation, entries.into()), ONE_BY_ONE);
}

#[test]
fn late_results_at_once_get_the_retries_that_they_get_one_by_one() {
    let mut simulation = simulation(patient().attempt_timeout(millis(5)));
    simulation.run(0);
    let now = simulation.at(5);
    let ended = std::mem::take(&mut simulation.running).into_iter().map(|(_, id, ..)| {
        // No thread has noticed that its time is over.
        match simulation.dispatcher.attempt_ended(id, now, Verdict::Value, Answer::Done) {
            Ended::Overdue(entry) => entry,
            _ => panic!("its time is over"),
        }
    });
    let entries = ended.collect();
    assert_eq!(ask(&mut simulation, entries), ONE_BY_ONE);
}
