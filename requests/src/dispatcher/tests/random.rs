//! Compares simulations of random plans with a reference model, which inspects each item in each
//! millisecond.

use std::num::NonZeroU32;

use super::*;
use crate::retry_budget::RetryBudget;

mod reference;

use self::reference::expected;

/// Returns a random number below `below`, by xorshift64.
pub(super) fn draw(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

fn maybe(state: &mut u64, low: u64, below: u64) -> Option<u64> {
    (draw(state, 2) == 0).then(|| low + draw(state, below))
}

/// The settings of a throttle, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Aimd {
    floor: u64,
    ceiling: u64,
    step: u64,
    multiplier: u64,
}

/// When an attempt gets a hedge.
#[derive(Clone, Copy, Debug)]
enum HedgePlan {
    After(u64),
    /// The quantile in percent, and the number of values before the first hedge.
    AtQuantile(u64, usize),
}

impl HedgePlan {
    fn new(state: &mut u64) -> Option<HedgePlan> {
        match draw(state, 3) {
            0 => Some(HedgePlan::After(draw(state, 6))),
            1 => Some(HedgePlan::AtQuantile(draw(state, 101), 1 + draw(state, 4) as usize)),
            _ => None,
        }
    }

    fn hedge(self) -> Hedge {
        match self {
            HedgePlan::After(delay) => Hedge::after(millis(delay)),
            HedgePlan::AtQuantile(percent, values) => {
                Hedge::at_quantile(percent as f64 / 100.0).min_samples(values)
            }
        }
    }
}

/// The plan of one batch. Times are in milliseconds.
#[derive(Clone, Debug)]
struct Batch {
    window: u64,
    concurrency: usize,
    within: u64,
    retries: u32,
    wait: (u64, u64),
    /// The waits of each item, instead of `wait`.
    waits: Option<Vec<u64>>,
    /// The tokens of a retry budget, and the thousandths that a success gives back.
    budget: Option<(u64, u64)>,
    hedge: Option<HedgePlan>,
    /// The time-out of each attempt.
    attempt_timeout: Option<u64>,
    timeout: Option<u64>,
    cancelled: Option<u64>,
    items: Vec<Replies>,
}

/// A plan of one or two batches that share a limiter.
#[derive(Clone, Debug)]
struct Plan {
    pace: u64,
    throttle: Option<Aimd>,
    batches: Vec<Batch>,
}

impl Plan {
    fn new(state: &mut u64) -> Plan {
        let floor = draw(state, 4);
        let aimd = Aimd {
            floor,
            ceiling: floor + 1 + draw(state, 20),
            step: 1 + draw(state, 4),
            multiplier: 2 + draw(state, 2),
        };
        Plan {
            pace: draw(state, 6),
            throttle: (draw(state, 2) == 0).then_some(aimd),
            batches: (0..1 + draw(state, 2)).map(|_| Batch::new(state)).collect(),
        }
    }
}

impl Batch {
    fn new(state: &mut u64) -> Batch {
        let reply = |state: &mut u64| match draw(state, 9) {
            8 => Reply::Closed(draw(state, 30)),
            0 => Reply::Failed,
            1..4 => Reply::Done,
            4 => Reply::Retry(Some(draw(state, 20))),
            _ => Reply::Retry(None),
        };
        let replies = |state: &mut u64| {
            (0..1 + draw(state, 4)).map(|_| (1 + draw(state, 8), reply(state))).collect()
        };
        Batch {
            window: 1 + draw(state, 8),
            concurrency: 1 + draw(state, 4) as usize,
            within: 1 + draw(state, 60),
            retries: draw(state, 5) as u32,
            wait: (draw(state, 8), draw(state, 16)),
            waits: (draw(state, 4) == 0)
                .then(|| (0..draw(state, 5)).map(|_| draw(state, 16)).collect()),
            budget: (draw(state, 2) == 0).then(|| (1 + draw(state, 12), draw(state, 1500))),
            hedge: HedgePlan::new(state),
            attempt_timeout: (draw(state, 3) == 0).then(|| 1 + draw(state, 8)),
            timeout: maybe(state, 1, 40),
            cancelled: maybe(state, 0, 200),
            items: (0..1 + draw(state, 8)).map(|_| replies(state)).collect(),
        }
    }

    fn retry(&self) -> Retry {
        let (first, longest) = (millis(self.wait.0), millis(self.wait.1));
        let retry = Retry::new().within(millis(self.within)).retries(self.retries);
        let retry = match self.waits.clone() {
            None => retry.wait(first, longest).without_jitter(),
            Some(waits) => retry.waits(move || waits.clone().into_iter().map(millis)),
        };
        let retry = match self.attempt_timeout {
            None => retry,
            Some(timeout) => retry.attempt_timeout(millis(timeout)),
        };
        let Some((tokens, ratio)) = self.budget else { return retry };
        let tokens = NonZeroU32::new(tokens as u32).unwrap();
        retry.budget(RetryBudget::new(tokens, ratio as f64 / 1000.0))
    }
}

/// The results of a batch, in the simulation and in the reference.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    ends: Vec<Option<End>>,
    dispatched: Vec<(u64, u64)>,
    attempts: u64,
    retries: u64,
    peak_delay: u64,
    waited: [u64; 3],
    refused: u64,
    timed_out: u64,
    /// The hedges that were started, have won, and were wasted.
    hedges: [u64; 3],
}

fn simulated(plan: &Plan) -> Vec<Outcome> {
    let throttle = plan.throttle.map(|aimd| {
        Throttle::new(millis(aimd.floor), millis(aimd.ceiling), millis(aimd.step))
            .multiplier(aimd.multiplier as f64)
    });
    let limiter = limiter(plan.pace, throttle).without_jitter();
    let zero = Instant::now();
    let mut simulations: Vec<Simulation> = plan
        .batches
        .iter()
        .map(|batch| {
            let Batch { concurrency, window, timeout, .. } = *batch;
            Simulation::new(batch.retry(), &limiter, concurrency, window, batch.items.clone())
                .with_timeout(timeout)
                .with_hedge(batch.hedge.map(HedgePlan::hedge))
                .starting_at(zero)
        })
        .collect();
    let mut time = 0;
    loop {
        let mut next = None;
        for (simulation, batch) in simulations.iter_mut().zip(&plan.batches) {
            if batch.cancelled.is_some_and(|at| at == time) && !simulation.is_over() {
                simulation.cancel(time);
            }
        }
        simulations.iter_mut().for_each(|simulation| simulation.end_attempts(time));
        // A batch that dispatches lets the next one through.
        let count = |all: &[Simulation]| all.iter().map(|one| one.dispatched.len()).sum::<usize>();
        let mut before = None;
        while before != Some(count(&simulations)) {
            before = Some(count(&simulations));
            for simulation in &mut simulations {
                simulation.deliver();
                simulation.take_actions(time);
            }
        }
        // Once more: a batch that left the queue of the limiter notifies the others.
        for (simulation, batch) in simulations.iter_mut().zip(&plan.batches) {
            let cancelled = batch.cancelled.filter(|&at| at > time);
            next = next.into_iter().chain(simulation.take_actions(time)).chain(cancelled).min();
        }
        if simulations.iter().all(Simulation::is_over) {
            break;
        }
        time = next.unwrap_or_else(|| panic!("no further action will come: {plan:?}"));
    }
    check_totals(&limiter, &mut simulations, zero);
    simulations
        .into_iter()
        .map(|simulation| {
            let stats = simulation.dispatcher.stats(zero);
            let whole_millis = |time: Duration| time.as_millis() as u64;
            Outcome {
                ends: simulation.ends,
                dispatched: simulation.dispatched,
                attempts: stats.attempts,
                retries: stats.capacity_retries,
                peak_delay: whole_millis(stats.peak_delay),
                waited: [
                    whole_millis(stats.waited_for_pace),
                    whole_millis(stats.waited_for_throttle),
                    whole_millis(
                        stats.waited_for_quota
                            + stats.waited_for_closing
                            + stats.waited_for_in_flight,
                    ),
                ],
                refused: stats.refused_as_closed,
                timed_out: stats.timed_out,
                hedges: [stats.hedges, stats.hedges_won, stats.hedges_wasted],
            }
        })
        .collect()
}

/// Checks that the counts of the limiter are the sums over its batches.
fn check_totals(limiter: &RateLimiter, simulations: &mut [Simulation], zero: Instant) {
    let stats: Vec<RequestStats> = simulations
        .iter_mut()
        .map(|simulation| {
            _ = simulation.dispatcher.close(zero);
            simulation.dispatcher.stats(zero)
        })
        .collect();
    let all = limiter.stats();
    let sum = |of: fn(&RequestStats) -> u64| stats.iter().map(of).sum::<u64>();
    assert_eq!(all.attempts, sum(|batch| batch.attempts));
    assert_eq!(all.timed_out, sum(|batch| batch.timed_out));
    assert_eq!(all.hedges, sum(|batch| batch.hedges));
    assert_eq!(all.hedges_won, sum(|batch| batch.hedges_won));
    assert_eq!(all.hedges_wasted, sum(|batch| batch.hedges_wasted));
    let sum = |of: fn(&RequestStats) -> Duration| stats.iter().map(of).sum::<Duration>();
    assert_eq!(all.waited_for_pace, sum(|batch| batch.waited_for_pace));
    assert_eq!(all.waited_for_throttle, sum(|batch| batch.waited_for_throttle));
    assert_eq!(all.waited_for_closing, sum(|batch| batch.waited_for_closing));
    assert_eq!(all.waited_for_in_flight, sum(|batch| batch.waited_for_in_flight));
    assert_eq!(all.waited_for_retry, sum(|batch| batch.waited_for_retry));
}

#[test]
fn random_simulations_match_the_reference() {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut ends = [0_u32; 7];
    let (mut waited, mut refused, mut timed_out, mut hedges) = ([0; 3], 0, 0, [0; 3]);
    let runs = std::env::var("REORDER_RANDOM_RUNS").ok().and_then(|runs| runs.parse().ok());
    let runs = runs.unwrap_or(10_000);
    for _ in 0..runs {
        let plan = Plan::new(&mut state);
        let outcomes = simulated(&plan);
        assert_eq!(outcomes, expected(&plan), "{plan:?}");
        for outcome in outcomes {
            waited.iter_mut().zip(outcome.waited).for_each(|(sum, time)| *sum += time);
            refused += outcome.refused;
            hedges.iter_mut().zip(outcome.hedges).for_each(|(sum, count)| *sum += count);
            timed_out += outcome.timed_out;
            outcome.ends.into_iter().flatten().for_each(|end| ends[end as usize] += 1);
        }
    }
    // Each kind of event occurs often.
    assert!(ends.iter().all(|&count| count > runs / 20), "{ends:?}");
    assert!(waited.iter().all(|&time| time > u64::from(runs)), "{waited:?}");
    let rare = u64::from(runs / 10);
    assert!(refused > rare && timed_out > rare, "{refused} {timed_out}");
    assert!(hedges.iter().all(|&count| count > rare / 5), "{hedges:?}");
}
