//! Histories of real threads on one ring, each checked against what a ring would answer to one thread: is
//! there an order of all calls, each within its time, in which a sequential ring gives the same answers?
//!
//! `REORDER_HISTORIES` is how many there are.

mod history;
#[path = "../../../reorder/src/tests/property/model.rs"]
#[expect(dead_code, reason = "some of it is for the property tests")]
mod model;
mod spec;
mod threads;

// The model finds them at the root of its crate.
use reorder_ring::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use history::History;
use spec::Step;

/// How long one history may take. What has an order shows it at once; that there is none can take a search of
/// astronomic length.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many histories may take longer: they count for nothing, and their threads search on.
const UNDECIDED: usize = 2;

#[test]
fn histories_are_linearizable() {
    let told = std::env::var("REORDER_HISTORIES").ok();
    let count = told.map_or(2000, |told| told.parse().expect("a number of histories"));
    let (mut steps, mut undecided, mut met) = (0, Vec::new(), Met::default());
    for seed in 0..count {
        let history = threads::run(seed);
        steps += history.steps();
        history.each_step(|step| met.add(step));
        undecided.extend(decide(history, seed));
        assert!(undecided.len() <= UNDECIDED, "too many histories take longer than {PATIENCE:?}");
    }
    println!(
        "linearizable: {count} histories, {} undecided, {steps} steps: {met:?}",
        undecided.len()
    );
    // They may have been decided meanwhile.
    for search in undecided.into_iter().filter(JoinHandle::is_finished) {
        search.join().unwrap_or_else(|payload| resume_unwind(payload));
    }
    met.assert_all();
}

/// Looks for an order of the history. If there is none, this panics; if that takes too long, the search goes on.
fn decide(history: History, seed: u64) -> Option<JoinHandle<()>> {
    let (found, out) = mpsc::channel();
    let search = thread::spawn(move || {
        history.assert_linearizable(seed);
        _ = found.send(());
    });
    match out.recv_timeout(PATIENCE) {
        Ok(()) => None,
        Err(RecvTimeoutError::Timeout) => {
            println!("linearizable: history {seed} takes longer than {PATIENCE:?}");
            Some(search)
        }
        Err(RecvTimeoutError::Disconnected) => {
            resume_unwind(search.join().expect_err("it has found no order"))
        }
    }
}

/// How often each kind of answer came.
#[derive(Debug, Default)]
struct Met {
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

impl Met {
    fn add(&mut self, step: &Step) {
        let count = match step {
            Step::Claim(_, Ok(())) => &mut self.accepted,
            Step::Claim(_, Err(Reason::Duplicate)) => &mut self.duplicate,
            Step::Claim(_, Err(Reason::Evicted)) => &mut self.evicted,
            Step::Claim(_, Err(Reason::Abandoned)) => &mut self.abandoned,
            Step::Claim(_, Err(Reason::Settled)) => &mut self.settled,
            Step::Claim(_, Err(Reason::Stale)) => &mut self.stale,
            Step::Reserve(Err(ReserveError::Full)) => &mut self.full,
            Step::Cancel(true) => &mut self.cancelled,
            Step::Take(_, Ok(_)) => &mut self.values,
            Step::Take(_, Err(_)) => &mut self.gaps,
            Step::Nothing(TryNextError::Ended | TryNextError::Truncated) => &mut self.ends,
            Step::Open(Err(Busy::Orphaned)) => &mut self.orphaned,
            _ => return,
        };
        *count += 1;
    }

    /// Histories that never meet an answer say nothing about it. An orphan takes a delay at one place, so it
    /// is not asked for.
    fn assert_all(&self) {
        let Met { accepted, duplicate, evicted, abandoned, settled, stale, .. } = *self;
        let Met { full, cancelled, values, gaps, ends, .. } = *self;
        let all = [
            accepted, duplicate, evicted, abandoned, settled, stale, full, cancelled, values, gaps,
            ends,
        ];
        assert!(all.iter().all(|&count| count > 0), "{self:?}");
    }
}
