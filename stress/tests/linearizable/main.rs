//! Checks that histories of real threads on one ring are linearizable.
//!
//! A history is linearizable if there is an order of its calls in which a sequential ring gives the
//! same answers. In that order, each call takes effect between its beginning and its end.
//!
//! The environment variable `REORDER_HISTORIES` sets the number of histories.

mod history;
#[path = "../../../reorder/src/tests/property/model.rs"]
#[expect(dead_code, reason = "some functions are for the property tests")]
mod model;
mod search;
mod spec;
mod threads;

// The model imports these types from the root of the crate.
use reorder_ring::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};

use spec::Step;

#[test]
fn histories_are_linearizable() {
    let count = std::env::var("REORDER_HISTORIES").ok();
    let count = count.map_or(2000, |count| count.parse().expect("a number of histories"));
    let (mut steps, mut answers) = (0, Answers::default());
    for seed in 0..count {
        let history = threads::run(seed);
        steps += history.steps();
        history.each_step(|step| answers.add(step));
        history.assert_linearizable(seed);
    }
    println!("linearizable: {count} histories, {steps} steps: {answers:?}");
    answers.assert_all();
}

/// The number of answers of each kind.
#[derive(Debug, Default)]
struct Answers {
    accepted: u64,
    duplicate: u64,
    evicted: u64,
    abandoned: u64,
    settled: u64,
    stale: u64,
    full: u64,
    cancelled: u64,
    values: u64,
    gaps: u64,
    ends: u64,
    orphaned: u64,
}

impl Answers {
    fn add(&mut self, step: &Step) {
        let count = match step {
            Step::Claim(_, _, Ok(())) => &mut self.accepted,
            Step::Claim(_, _, Err(Reason::Duplicate)) => &mut self.duplicate,
            Step::Claim(_, _, Err(Reason::Evicted)) => &mut self.evicted,
            Step::Claim(_, _, Err(Reason::Abandoned)) => &mut self.abandoned,
            Step::Claim(_, _, Err(Reason::Settled)) => &mut self.settled,
            Step::Claim(_, _, Err(Reason::Stale)) => &mut self.stale,
            Step::Reserve(Err(ReserveError::Full)) => &mut self.full,
            Step::Cancel(true) => &mut self.cancelled,
            Step::Take(_, Ok(_)) => &mut self.values,
            Step::Take(_, Err(_)) => &mut self.gaps,
            Step::NoDelivery(TryNextError::Ended | TryNextError::Truncated) => &mut self.ends,
            Step::Open(Err(Busy::Orphaned)) => &mut self.orphaned,
            _ => return,
        };
        *count += 1;
    }

    /// Panics if an answer never occurred, for then the histories do not check it. Orphans may be
    /// missing: they need a delay at one particular step.
    fn assert_all(&self) {
        let Answers { accepted, duplicate, evicted, abandoned, settled, stale, .. } = *self;
        let Answers { full, cancelled, values, gaps, ends, .. } = *self;
        let all = [
            accepted, duplicate, evicted, abandoned, settled, stale, full, cancelled, values, gaps,
            ends,
        ];
        assert!(all.iter().all(|&count| count > 0), "{self:?}");
    }
}
