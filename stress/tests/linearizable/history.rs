//! A history: calls with the times at which they began and ended, and the search for an order.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::spec::{Spec, Step, Undecided, begin_search};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

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

    /// Searches for an order of the history. Returns an error if the search takes too many steps.
    ///
    /// # Panics
    ///
    /// Panics if there is no order.
    pub(crate) fn assert_linearizable(&self, seed: u64) -> Result<(), Undecided> {
        let ends = self.events().len();
        // The search must try all orders to find that there is none, which is quick for a short
        // prefix. So it begins with short prefixes.
        for end in [ends / 4, ends / 2, ends - ends / 4, ends] {
            if !self.is_linearizable(end)? {
                self.report(seed, end);
            }
        }
        Ok(())
    }

    /// Panics with the history, of which the first `bad` events have no order.
    fn report(&self, seed: u64, bad: usize) -> ! {
        let is_bad = |&end: &usize| matches!(self.is_linearizable(end), Ok(false));
        let first = (1..bad).find(is_bad).unwrap_or(bad);
        panic!(
            "history {seed} on a ring of {} slots is not linearizable from time {} on:\n{}",
            self.capacity,
            self.events()[first - 1].0,
            self.listing()
        );
    }

    /// Returns `true` if there is an order of the steps up to the event number `end`.
    ///
    /// The steps of a call may take effect anywhere within the call. So the tester gets a separate
    /// thread for each step of a call.
    fn is_linearizable(&self, end: usize) -> Result<bool, Undecided> {
        let mut tester = LinearizabilityTester::new(Spec::new(self.capacity));
        for (_, thread, call, begins) in self.events().into_iter().take(end) {
            for (number, &step) in call.steps.iter().enumerate() {
                let id = (thread, number);
                let recorded =
                    if begins { tester.on_invoke(id, step) } else { tester.on_return(id, true) };
                recorded.expect("the calls of a thread follow each other");
            }
        }
        begin_search();
        catch_unwind(AssertUnwindSafe(|| tester.is_consistent())).map_err(|payload| {
            payload.downcast::<Undecided>().map_or_else(|panic| resume_unwind(panic), |it| *it)
        })
    }

    /// Returns the beginnings and ends of all calls, ordered by time.
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
