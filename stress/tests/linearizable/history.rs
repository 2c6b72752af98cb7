//! Calls with the time at which each began and ended, and the search for an order of them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::spec::{Spec, Step};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

/// Numbers moments, the same for all threads. What ends before something else begins has the lower number.
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

    /// Makes a call; `steps` tells what its answer means.
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

    pub(crate) fn assert_linearizable(&self, seed: u64) {
        let ends = self.events().len();
        // That there is no order takes a search of all, which is short for what is short.
        let quarters = [ends / 4, ends / 2, ends - ends / 4, ends];
        let Some(bad) = quarters.into_iter().find(|&end| !self.is_linearizable(end)) else {
            return;
        };
        let first = (1..bad).find(|&end| !self.is_linearizable(end)).unwrap_or(bad);
        panic!(
            "history {seed} is not linearizable, on a ring of {} slots, once time {} has come:\n{}",
            self.capacity,
            self.events()[first - 1].0,
            self.listing()
        );
    }

    /// Whether there is an order for what happens up to this event. For the tester, each step of a call has a
    /// thread of its own: they all lie within the call.
    fn is_linearizable(&self, end: usize) -> bool {
        let mut tester = LinearizabilityTester::new(Spec::new(self.capacity));
        for (_, thread, call, begins) in self.events().into_iter().take(end) {
            for (number, &step) in call.steps.iter().enumerate() {
                let id = (thread, number);
                let told =
                    if begins { tester.on_invoke(id, step) } else { tester.on_return(id, true) };
                told.expect("calls of a thread follow each other");
            }
        }
        tester.is_consistent()
    }

    /// Both ends of each call, by time.
    fn events(&self) -> Vec<(u64, usize, &Call, bool)> {
        let mut events: Vec<_> = self
            .threads
            .iter()
            .enumerate()
            .flat_map(|(thread, calls)| calls.iter().map(move |call| (thread, call)))
            .flat_map(|(thread, call)| {
                [(call.began, thread, call, true), (call.ended, thread, call, false)]
            })
            .collect();
        events.sort_unstable_by_key(|event| event.0);
        events
    }

    fn listing(&self) -> String {
        let begun = |&(_, thread, call, begins): &(u64, usize, &Call, bool)| {
            let line = format!(
                "{:>4} to {:>4}, thread {thread}: {:?}\n",
                call.began, call.ended, call.steps
            );
            begins.then_some(line)
        };
        self.events().iter().filter_map(begun).collect()
    }
}
