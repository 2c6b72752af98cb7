//! Services that close for a time, and say so.

use std::num::NonZeroU32;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use reorder_executor::{Executor, Failure};
use reorder_requests::{AttemptOutcome, RateLimiter, RequestStats, RequestsExt, Retry};

const MS: Duration = Duration::from_millis(1);

/// Takes 20 requests, and then bans its clients for a time.
#[derive(Default)]
struct Server {
    taken: u32,
    banned_until: Option<Instant>,
    /// The number of requests during each ban.
    refused: Vec<u32>,
}

impl Server {
    fn answer(&mut self, n: u32) -> AttemptOutcome<u32, &'static str> {
        let now = Instant::now();
        if let Some(left) = self.banned_until.and_then(|until| until.checked_duration_since(now)) {
            *self.refused.last_mut().unwrap() += 1;
            return AttemptOutcome::Closed { error: "banned", after: left };
        }
        self.taken += 1;
        if self.taken == 20 {
            self.taken = 0;
            self.banned_until = Some(now + 300 * MS);
            self.refused.push(0);
        }
        AttemptOutcome::Done(n)
    }
}

#[test]
fn a_ban_holds_for_all_batches_and_costs_no_attempt() {
    let executors = [(); 2].map(|()| Executor::builder().workers(4).build().unwrap());
    let limiter = RateLimiter::builder().build().unwrap();
    let server = Arc::new(Mutex::new(Server::default()));
    let handles = executors.each_ref().map(|executor| {
        let server = Arc::clone(&server);
        let batch = executor.batch(0..30_u32).requests().retry(Retry::never()).through(&limiter);
        batch.submit(move |&n, _| server.lock().unwrap().answer(n)).unwrap()
    });
    let mut refused = 0;
    for handle in handles {
        let report = handle.wait();
        refused += report.stats::<RequestStats>().unwrap().refused_as_closed;
        assert!(report.into_values().unwrap().into_iter().eq(0..30));
    }
    let server = server.lock().unwrap();
    assert_eq!(refused, u64::from(server.refused.iter().sum::<u32>()));
    // Each of the 8 threads had at most one request on its way when the service closed.
    assert!(server.refused.iter().all(|&refused| refused <= 8), "{:?}", server.refused);
}

#[test]
fn a_limiter_bounds_the_attempts_of_all_batches() {
    let executors = [(); 2].map(|()| Executor::builder().workers(3).build().unwrap());
    let limiter = RateLimiter::builder().max_in_flight(NonZeroU32::new(2).unwrap());
    let limiter = limiter.build().unwrap();
    // The attempts that run, and their maximum.
    let running = Arc::new(Mutex::new((0, 0)));
    let handles = [0, 1, 0, 1].map(|executor| {
        let running = Arc::clone(&running);
        let batch = executors[executor].batch(0..50_u32).requests().through(&limiter);
        let handle = batch.submit(move |&n, _| {
            let mut now = running.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
            drop(now);
            thread::yield_now();
            running.lock().unwrap().0 -= 1;
            AttemptOutcome::<_, ()>::Done(n)
        });
        handle.unwrap()
    });
    for handle in handles {
        assert!(handle.wait().into_values().unwrap().into_iter().eq(0..50));
    }
    assert!((1..=2).contains(&running.lock().unwrap().1));
}

#[test]
fn a_batch_that_waits_for_the_attempt_of_another_one_goes_on_after_it() {
    let executors = [(); 2].map(|()| Arc::new(Executor::builder().workers(1).build().unwrap()));
    let limiter = RateLimiter::builder().build().unwrap();
    limiter.close_until(Instant::now() + MS);
    let ((started, is_started), (end, ended)) = (channel(), channel::<()>());
    let ended = Mutex::new(ended);
    let probe = executors[0].batch([()]).requests().through(&limiter);
    let probe = probe.submit(move |(), _| {
        started.send(()).unwrap();
        ended.lock().unwrap().recv().unwrap();
        AttemptOutcome::<_, ()>::Done(())
    });
    is_started.recv().unwrap();
    // The only worker is the consumer, so it runs the items.
    let nested = Arc::clone(&executors[1]);
    let consumer = executors[1].batch([()]).submit(move |(), _| {
        let job = |&n: &u32, _: &_| AttemptOutcome::<_, ()>::Done(n);
        let outcomes = nested.batch(0..3_u32).requests().through(&limiter).stream(job).unwrap();
        outcomes.collect::<Result<Vec<u32>, _>>().map_err(|_| "a failure")
    });
    // The consumer is probably asleep now.
    thread::sleep(50 * MS);
    end.send(()).unwrap();
    assert_eq!(consumer.unwrap().wait().into_values().unwrap(), [vec![0, 1, 2]]);
    probe.unwrap().wait().into_values().unwrap();
}

/// Returns the failure of an item whose attempts have these outcomes.
fn failure(
    retry: Retry,
    outcome: impl Fn(u32) -> AttemptOutcome<(), &'static str> + Send + Sync + 'static,
) -> (Failure<&'static str>, RequestStats) {
    let executor = Executor::builder().workers(1).build().unwrap();
    let batch = executor.batch([()]).requests().retry(retry);
    let report = batch.submit(move |(), attempt| outcome(attempt.number())).unwrap().wait();
    let stats = *report.stats::<RequestStats>().unwrap();
    (report.into_outcomes().remove(0).unwrap_err(), stats)
}

#[test]
fn a_closing_that_takes_no_time_is_a_retry() {
    let retry = Retry::attempts(NonZeroU32::new(3).unwrap()).wait(MS, MS);
    let (failure, stats) = failure(retry, |attempt| match attempt {
        100.. => AttemptOutcome::Done(()),
        _ => AttemptOutcome::Closed { error: "Retry-After: 0", after: Duration::ZERO },
    });
    assert_eq!(failure.to_string(), "all 3 attempts failed, the last with: Retry-After: 0");
    assert_eq!((stats.capacity_retries, stats.refused_as_closed), (3, 0));
}

#[test]
fn a_failure_tells_the_budget_that_closings_have_extended() {
    let (failure, _) = failure(Retry::new(), |attempt| match attempt {
        1 => AttemptOutcome::Closed { error: "banned", after: 20 * MS },
        _ => AttemptOutcome::Retry { error: "busy", after: Some(3_600_000 * MS) },
    });
    assert!(failure.to_string().contains("within 30.020625s"), "{failure}");
}
