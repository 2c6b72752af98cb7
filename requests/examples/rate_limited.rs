//! Calls a service that limits its requests per second, from two batches at once.
//!
//! ```sh
//! cargo run -p reorder-requests --example rate_limited
//! ```

use std::error::Error;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reorder_executor::Executor;
use reorder_requests::{AttemptOutcome, RateLimiter, RequestStats, RequestsExt, Retry, Throttle};

/// The service refuses a request that comes sooner than this after the last one.
const SERVICE_PACE: Duration = Duration::from_millis(4);

static LAST_REQUEST: Mutex<Option<Instant>> = Mutex::new(None);

/// Stands for a call to the service.
fn call(number: u64) -> AttemptOutcome<u64, io::Error> {
    let now = Instant::now();
    let mut last = LAST_REQUEST.lock().expect("no call panics");
    if last.replace(now).is_some_and(|last| now - last < SERVICE_PACE) {
        return AttemptOutcome::Retry { error: io::Error::other("too many requests"), after: None };
    }
    AttemptOutcome::Done(number * number)
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).build()?;
    let millis = Duration::from_millis;

    // Both batches share the limiter. It starts too fast on purpose, at one request a millisecond.
    // Each refusal doubles the delay of the throttle, and each answer shortens it.
    let throttle = Throttle::new(Duration::ZERO, millis(50), Duration::from_micros(200));
    let limiter = RateLimiter::builder().pace(millis(1)).throttle(throttle).build()?;
    let retry = Retry::new().within(Duration::from_secs(30)).wait(millis(5), millis(50));

    let submit = |numbers: std::ops::Range<u64>| {
        let requests = executor.batch(numbers).requests().through(&limiter).retry(retry.clone());
        requests.submit(|&number, _attempt| call(number))
    };
    let batches = [submit(0..30)?, submit(30..60)?];
    for (batch, first) in batches.into_iter().zip([0, 30]) {
        let report = batch.wait();
        let stats = *report.stats::<RequestStats>().expect("the batch consists of requests");
        let squares = report.into_values()?;
        assert!(squares.into_iter().eq((first..first + 30).map(|n| n * n)));
        println!(
            "30 answers in order, {} attempts, {} of them refused; the delay rose to {:?}",
            stats.attempts, stats.capacity_retries, stats.peak_delay
        );
    }
    Ok(())
}
