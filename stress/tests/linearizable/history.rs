//! A history: calls with the times at which they began and ended.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::search::{TimedStep, find_order};
use crate::spec::{Spec, Step};

/// A logical clock that all threads share. If a call ends before another call begins, its end has
/// the lower time.
#[derive(Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, SeqCst)
    }
}

#[derive(Debug)]
struct Call {
    began: u64,
    ended: u64,
    steps: Vec<Step>,
}

/// The calls of one thread.
pub(crate) struct Log<'a> {
    clock: &'a Clock,
    calls: Vec<Call>,
}

impl<'a> Log<'a> {
    pub(crate) fn new(clock: &'a Clock) -> Log<'a> {
        Log { clock, calls: Vec::new() }
    }

    /// Makes a call and records it, with the steps that `steps` returns for its answer.
    pub(crate) fn call<A>(
        &mut self,
        f: impl FnOnce() -> A,
        steps: impl FnOnce(&A) -> Vec<Step>,
    ) -> A {
        let began = self.clock.now();
        let answer = f();
        let ended = self.clock.now();
        self.calls.push(Call { began, ended, steps: steps(&answer) });
        answer
    }
}

pub(crate) struct History {
    capacity: u64,
    threads: Vec<Vec<Call>>,
}

impl History {
    pub(crate) fn new(capacity: u64, logs: Vec<Log<'_>>) -> History {
        History { capacity, threads: logs.into_iter().map(|log| log.calls).collect() }
    }

    pub(crate) fn steps(&self) -> usize {
        self.threads.iter().flatten().map(|call| call.steps.len()).sum()
    }

    pub(crate) fn each_step(&self, f: impl FnMut(&Step)) {
        self.threads.iter().flatten().flat_map(|call| &call.steps).for_each(f);
    }

    /// Searches for an order of all steps.
    ///
    /// # Panics
    ///
    /// Panics with the history if there is none.
    pub(crate) fn assert_linearizable(&self, seed: u64) {
        if let Err(time) = find_order(&Spec::new(self.capacity), self.timed_steps()) {
            panic!(
                "history {seed} on a ring of {} slots is not linearizable from time {time} on:\n{}",
                self.capacity,
                self.listing()
            );
        }
    }

    /// Returns all steps. The steps of a call may take effect anywhere within the call.
    fn timed_steps(&self) -> Vec<TimedStep> {
        let steps = |call: &Call| {
            let (began, ended) = (call.began, call.ended);
            call.steps.clone().into_iter().map(move |step| TimedStep { began, ended, step })
        };
        self.threads.iter().flatten().flat_map(steps).collect()
    }

    /// Returns a line for each call, in the order of their beginnings.
    fn listing(&self) -> String {
        let mut lines = Vec::new();
        for (thread, calls) in self.threads.iter().enumerate() {
            for Call { began, ended, steps } in calls {
                let line = format!("{began:>4} to {ended:>4}, thread {thread}: {steps:?}\n");
                lines.push((began, line));
            }
        }
        lines.sort_unstable();
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
