//! Four callers run many small batches each, at the same time and on one executor. Checks that each
//! batch gets its own results, and measures how long the callers wait for each other.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::batch::{Visitor, each_collector};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, Extra, Sample, check_results};
use crate::compare::job::{Job, busy, mix};
use crate::compare::peers::Collect;

const CALLERS: u64 = 4;
/// The number of items of a batch.
const ITEMS: u64 = 64;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    for threads in THREADS {
        let mut comparison = Comparison::new("concurrent-ns", threads, settings);
        let batches = settings.amount(250, 50);
        let mut visitor = Callers { comparison: &mut comparison, batches, job: mix };
        each_collector(threads, threads, &mut visitor);
        run_comparison(comparison);
    }
    for threads in THREADS {
        let mut comparison = Comparison::new("concurrent-20us", threads, settings);
        let batches = settings.amount(250, 10);
        let mut visitor = Callers { comparison: &mut comparison, batches, job: after_20us };
        each_collector(threads, threads, &mut visitor);
        run_comparison(comparison);
    }
}

/// Returns the result of [`mix`] after 20 µs of work.
fn after_20us(number: u64) -> u64 {
    black_box(busy(number, 20));
    mix(number)
}

struct Callers<'c, 'a, J> {
    comparison: &'c mut Comparison<'a>,
    /// The number of batches per caller.
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
        self.comparison.add_peer(peer, make, move |peer, _| {
            let mut latencies = Histogram::new(3).expect(DIGITS);
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
            let start = callers.iter().map(|caller| caller.start).min().expect("there are callers");
            let end = callers.iter().map(|caller| caller.end).max().expect("there are callers");
            for caller in callers {
                latencies.add(&caller.latencies).expect("the bounds are the same");
                // The batches have different numbers, so results of another batch are an error.
                for (batch, results) in (caller.first..).zip(&caller.results) {
                    let first = batch * ITEMS;
                    let expected: Vec<u64> = (first..first + ITEMS).map(mix).collect();
                    check_results(results, &expected)
                        .map_err(|error| format!("batch {batch}: {error}"))?;
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

const DIGITS: &str = "a histogram can have three digits";

/// The results and times of a caller.
struct Caller {
    /// The number of the first batch.
    first: u64,
    results: Vec<Vec<u64>>,
    latencies: Histogram<u64>,
    start: Instant,
    end: Instant,
}

impl Caller {
    /// Runs one batch after the other, beginning with number `first`.
    fn run(
        peer: &impl Collect,
        first: u64,
        job: impl Job<u64, u64>,
        batches: u64,
        ready: &Barrier,
    ) -> Caller {
        let mut results = Vec::with_capacity(batches as usize);
        let mut latencies = Histogram::new(3).expect(DIGITS);
        // The histogram grows here, so it does not grow during the measurement.
        latencies.record(u64::from(u32::MAX)).expect("the histogram grows");
        latencies.reset();
        ready.wait();
        let start = Instant::now();
        let mut last = start;
        for batch in first..first + batches {
            results.push(peer.collect(ITEMS, move |index| job(batch * ITEMS + index)));
            let now = Instant::now();
            latencies.record((now - last).as_nanos() as u64).expect("the histogram grows");
            last = now;
        }
        Caller { first, results, latencies, start, end: last }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::compare::comparison::OURS;
    use crate::compare::peers::Serial;

    /// Returns the results of the batch before, of any caller.
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
    fn results_of_another_batch_are_an_error() {
        let settings = Settings { quick: true, ..Settings::default() };
        let mut comparison = Comparison::new("mixed", 2, &settings);
        let mut visitor = Callers { comparison: &mut comparison, batches: 3, job: mix };
        visitor.visit(OURS, move || Serial);
        visitor.visit("mutex", Mixed::default);
        let outcome = comparison.run();
        assert_eq!(outcome.wrong.len(), 1);
        assert!(outcome.wrong[0].contains("mutex: batch"), "{}", outcome.wrong[0]);
        let record = &outcome.records[0];
        assert!(record.batches_per_s.is_some() && record.p50_us <= record.p999_us);
    }

    #[test]
    fn every_peer_keeps_the_batches_of_its_callers_apart() {
        let settings = Settings { quick: true, ..Settings::default() };
        let mut comparison = Comparison::new("apart", 2, &settings);
        each_collector(2, 2, &mut Callers { comparison: &mut comparison, batches: 20, job: mix });
        let outcome = comparison.run();
        assert_eq!(outcome.wrong, [""; 0]);
        assert_eq!(outcome.records.len(), 14 + usize::from(cfg!(tbb)));
    }
}
