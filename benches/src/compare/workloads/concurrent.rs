//! Four callers at once, with many small batches each, on one executor: whether they stay apart
//! without waiting for each other.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::batch::{Visitor, each_collector};
use super::{Hold, THREADS};
use crate::compare::Settings;
use crate::compare::contest::{Contest, Extra, Sample, same};
use crate::compare::job::{Job, busy, mix};
use crate::compare::peers::Collect;

const CALLERS: u64 = 4;
/// Items of a batch.
const ITEMS: u64 = 64;

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    for threads in THREADS {
        let mut contest = Contest::new("concurrent-ns", threads, settings);
        let batches = settings.amount(250, 50);
        let mut visitor = Callers { contest: &mut contest, batches, job: mix };
        each_collector(threads, threads, &mut visitor);
        hold(contest);
    }
    for threads in THREADS {
        let mut contest = Contest::new("concurrent-20us", threads, settings);
        let batches = settings.amount(250, 10);
        let mut visitor = Callers { contest: &mut contest, batches, job: after_20us };
        each_collector(threads, threads, &mut visitor);
        hold(contest);
    }
}

/// What [`mix`] tells, later.
fn after_20us(number: u64) -> u64 {
    black_box(busy(number, 20));
    mix(number)
}

struct Callers<'c, 'a, J> {
    contest: &'c mut Contest<'a>,
    /// Of each caller.
    batches: u64,
    job: J,
}

impl<J: Job<u64, u64>> Visitor for Callers<'_, '_, J> {
    fn visit<P: Collect + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        let (batches, job) = (self.batches, self.job);
        self.contest.enter(peer, make, move |peer, _| {
            let mut latencies = Histogram::new(3).expect("three digits are few enough");
            let ready = Barrier::new(CALLERS as usize);
            let ready = &ready;
            let callers = thread::scope(|scope| {
                let call = |caller| {
                    scope.spawn(move || Caller::run(peer, caller * batches, job, batches, ready))
                };
                let callers: Vec<_> = (0..CALLERS).map(call).collect();
                let join = |caller: thread::ScopedJoinHandle<'_, Caller>| caller.join();
                callers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
            });
            let callers = callers.map_err(|_| "a caller panicked")?;
            let start = callers.iter().map(|caller| caller.start).min().expect("there are some");
            let end = callers.iter().map(|caller| caller.end).max().expect("there are some");
            for caller in callers {
                latencies.add(&caller.latencies).expect("all have the same bounds");
                // No batch has the numbers of another, so what came to the wrong one is noticed.
                for (batch, results) in (caller.first..).zip(&caller.results) {
                    let first = batch * ITEMS;
                    let expected: Vec<u64> = (first..first + ITEMS).map(mix).collect();
                    same(results, &expected).map_err(|what| format!("batch {batch}: {what}"))?;
                }
            }
            let items = CALLERS * batches * ITEMS;
            Ok(Sample {
                nanos: (end - start).as_nanos() as f64 / items as f64,
                extra: Extra { latencies: Some(latencies), batch: Some(ITEMS), ..Extra::default() },
            })
        });
    }
}

/// What a caller saw.
struct Caller {
    first: u64,
    results: Vec<Vec<u64>>,
    latencies: Histogram<u64>,
    start: Instant,
    end: Instant,
}

impl Caller {
    /// Calls one batch after the other, from number `first` on.
    fn run(
        peer: &impl Collect,
        first: u64,
        job: impl Job<u64, u64>,
        batches: u64,
        ready: &Barrier,
    ) -> Caller {
        let mut results = Vec::with_capacity(batches as usize);
        let mut latencies = Histogram::new(3).expect("three digits are few enough");
        // So that it does not grow while it is timed.
        latencies.record(u64::from(u32::MAX)).expect("it grows");
        latencies.reset();
        ready.wait();
        let start = Instant::now();
        let mut last = start;
        for batch in first..first + batches {
            results.push(peer.collect(ITEMS, move |index| job(batch * ITEMS + index)));
            let now = Instant::now();
            latencies.record((now - last).as_nanos() as u64).expect("it grows");
            last = now;
        }
        Caller { first, results, latencies, start, end: last }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::compare::contest::OURS;
    use crate::compare::peers::Serial;

    /// Gives every batch what the batch before it asked for, whoever that was.
    #[derive(Default)]
    struct Mixed(Mutex<Option<Box<dyn std::any::Any + Send>>>);

    impl Collect for Mixed {
        fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
            let results = Serial.collect(count, job);
            let before = self.0.lock().unwrap().replace(Box::new(results));
            match before.and_then(|before| before.downcast().ok()) {
                Some(before) => *before,
                None => Serial.collect(count, job),
            }
        }
    }

    #[test]
    fn results_of_another_batch_are_noticed() {
        let settings = Settings { quick: true, ..Settings::default() };
        let mut contest = Contest::new("mixed", 2, &settings);
        let mut visitor = Callers { contest: &mut contest, batches: 3, job: mix };
        visitor.visit(OURS, move || Serial);
        visitor.visit("mutex", Mixed::default);
        let outcome = contest.run();
        assert_eq!(outcome.wrong.len(), 1);
        assert!(outcome.wrong[0].contains("mutex: batch"), "{}", outcome.wrong[0]);
        let told = &outcome.records[0];
        assert!(told.batches_per_s.is_some() && told.p50_us <= told.p999_us);
    }

    #[test]
    fn every_peer_keeps_the_batches_of_its_callers_apart() {
        let settings = Settings { quick: true, ..Settings::default() };
        let mut contest = Contest::new("apart", 2, &settings);
        each_collector(2, 2, &mut Callers { contest: &mut contest, batches: 20, job: mix });
        let outcome = contest.run();
        assert_eq!(outcome.wrong, [""; 0]);
        assert_eq!(outcome.records.len(), 14 + usize::from(cfg!(tbb)));
    }
}
