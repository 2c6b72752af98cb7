//! The metrics of limiters. A recorder of this thread is enough: limiters ask it for their counters
//! when they are built, and workers use them.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{executor, with_timeout};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use reorder_requests::{Attempt, AttemptOutcome, Hedge, RateLimiter, RequestsExt, Retry};

/// Keeps the counters and gauges by their names and labels.
#[derive(Default)]
struct Recorded {
    values: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    described: Mutex<Vec<String>>,
    panics: Arc<AtomicBool>,
}

/// A counter that panics on demand.
struct Panicking(Arc<AtomicU64>, Arc<AtomicBool>);

impl CounterFn for Panicking {
    fn increment(&self, by: u64) {
        assert!(!self.1.load(SeqCst), "the recorder of the test panics");
        self.0.fetch_add(by, SeqCst);
    }

    fn absolute(&self, _: u64) {
        unreachable!("counters of several limiters add up");
    }
}

impl Recorded {
    fn value(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().strip_prefix("reorder_requests_").unwrap();
        let name = name.to_owned() + &labels.collect::<String>();
        Arc::clone(self.values.lock().unwrap().entry(name).or_default())
    }

    /// Returns the counters of a limiter that are not 0, without the waits.
    fn counters(&self, limiter: &str) -> BTreeMap<String, u64> {
        let suffix = format!(" limiter={limiter}");
        let values = self.values.lock().unwrap();
        let own = values.iter().filter(|(name, _)| !name.starts_with("waited"));
        let own = own.filter(|(name, _)| name.contains(&suffix));
        let own = own.map(|(name, value)| (name.replace(&suffix, ""), value.load(SeqCst)));
        own.filter(|(_, value)| *value != 0).collect()
    }

    fn waited(&self, limiter: &str, cause: &str) -> u64 {
        let name = format!("waited_milliseconds_total limiter={limiter} cause={cause}");
        self.values.lock().unwrap()[&name].load(SeqCst)
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Panicking(self.value(key), Arc::clone(&self.panics))))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn named(recorder: &Recorded, name: &str) -> RateLimiter {
    let settings = RateLimiter::builder().pace(Duration::from_millis(3)).name(name);
    with_local_recorder(recorder, || settings.build().unwrap())
}

/// An item for each answer. The first attempt at the last item only ends if its hedge wins.
fn job(&n: &u32, attempt: &Attempt) -> AttemptOutcome<u32, &'static str> {
    match (n, attempt.number()) {
        (1, 1) => AttemptOutcome::Retry { error: "busy", after: Some(Duration::from_millis(2)) },
        (2, 1) => AttemptOutcome::Closed { error: "closed", after: Duration::from_millis(5) },
        (3, _) => AttemptOutcome::Failed("no such item"),
        (4, _) => panic!("an attempt without an answer"),
        (5, 1) => {
            while !attempt.should_stop() {
                thread::yield_now();
            }
            AttemptOutcome::Done(n)
        }
        _ => AttemptOutcome::Done(n),
    }
}

fn run(limiter: &RateLimiter) {
    let executor = executor(2);
    let requests = executor.batch(0..6_u32).requests().through(limiter);
    let requests = requests.hedge(Hedge::after(Duration::from_millis(20)));
    _ = requests.retry(Retry::new()).submit(job).unwrap().wait();
    // The attempt that lost ends a little later.
    while limiter.stats().in_flight > 0 {
        thread::yield_now();
    }
    // The workers have published everything when they have ended.
    drop(executor);
}

#[test]
fn a_limiter_with_a_name_publishes_its_statistics() {
    with_timeout(|| {
        let recorder = Recorded::default();
        let limiter = named(&recorder, "maps");
        run(&limiter);
        limiter.close_until(Instant::now() + Duration::from_secs(60));
        let stats = limiter.stats();
        // On a busy machine, others may have had a hedge.
        let some = [
            ("attempts_total", stats.attempts),
            ("ended_total answer=done", stats.done),
            ("ended_total answer=failed", stats.failed),
            ("ended_total answer=retry", stats.capacity_retries),
            ("ended_total answer=closed", stats.refused_as_closed),
            ("ended_total answer=none", stats.unanswered),
            ("hedges_total", stats.hedges),
            ("hedges_ended_total result=won", stats.hedges_won),
            ("closings_total", stats.closings),
        ];
        assert!(some.iter().all(|&(_, count)| count > 0), "{stats:?}");
        let others = [
            ("timed_out_total", stats.timed_out),
            ("hedges_ended_total result=wasted", stats.hedges_wasted),
        ];
        let expected = some.into_iter().chain(others).filter(|&(_, count)| count > 0);
        let expected = expected.map(|(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(recorder.counters("maps"), expected);
        let waits = [
            ("pace", stats.waited_for_pace),
            ("throttle", stats.waited_for_throttle),
            ("quota", stats.waited_for_quota),
            ("closing", stats.waited_for_closing),
            ("in_flight", stats.waited_for_in_flight),
            ("retry", stats.waited_for_retry),
        ];
        for (cause, wait) in waits {
            assert_eq!(u128::from(recorder.waited("maps", cause)), wait.as_millis(), "{cause}");
        }
        assert!(recorder.waited("maps", "pace") > 0 && recorder.waited("maps", "retry") > 0);
        assert_eq!(recorder.described.lock().unwrap().len(), 8);
    });
}

#[test]
fn limiters_of_one_name_add_up_and_one_without_a_name_publishes_nothing() {
    with_timeout(|| {
        let recorder = Recorded::default();
        let unnamed = with_local_recorder(&recorder, || RateLimiter::builder().build().unwrap());
        run(&unnamed);
        assert!(recorder.values.lock().unwrap().is_empty());
        let other = named(&recorder, "other");
        let limiters = [(); 2].map(|()| named(&recorder, "maps"));
        for limiter in &limiters {
            run(limiter);
        }
        let attempts = limiters.iter().map(|limiter| limiter.stats().attempts).sum::<u64>();
        assert_eq!(recorder.counters("maps")["attempts_total"], attempts);
        assert!(recorder.counters("other").is_empty());
        assert_eq!(format!("{other:?}").matches("other").count(), 1);
    });
}

#[test]
fn attempts_in_flight_are_a_gauge() {
    with_timeout(|| {
        let recorder = Arc::new(Recorded::default());
        let limiter = named(&recorder, "maps");
        let seen = Arc::clone(&recorder);
        let executor = executor(1);
        let handle = executor.batch(0..3_u32).requests().through(&limiter).submit(move |_, _| {
            let counters = seen.counters("maps");
            AttemptOutcome::<_, ()>::Done(f64::from_bits(counters["in_flight"]))
        });
        assert_eq!(handle.unwrap().wait().into_values().unwrap(), [1.0; 3]);
        assert!(!recorder.counters("maps").contains_key("in_flight"), "it is 0 again");
    });
}

#[test]
fn a_recorder_that_panics_costs_no_item() {
    with_timeout(|| {
        let recorder = Recorded::default();
        let limiter = named(&recorder, "maps");
        recorder.panics.store(true, SeqCst);
        let executor = executor(2);
        let requests = executor.batch(0..9_u32).requests().through(&limiter);
        let handle = requests.submit(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        assert!(handle.wait().into_values().unwrap().into_iter().eq(0..9));
    });
}
