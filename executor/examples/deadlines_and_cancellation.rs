//! Ends work early: a time limit for each item, a deadline for a batch, and a token that cancels.
//!
//! ```sh
//! cargo run -p reorder-executor --example deadlines_and_cancellation
//! ```

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use reorder_executor::{CancellationToken, Executor, Failure, Job};

/// Works for `millis` milliseconds. Ends early if its result is not needed any more.
fn work(millis: u64, job: &Job<'_>) -> Result<u64, io::Error> {
    let end = Instant::now() + Duration::from_millis(millis);
    while Instant::now() < end && !job.should_stop() {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(millis)
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).build()?;
    let millis = Duration::from_millis;

    // The order goes on behind the item that takes too long.
    let batch = executor.batch([1, 60_000, 2]).item_timeout(millis(200));
    for (index, outcome) in batch.stream(work)?.enumerate() {
        match outcome {
            Ok(time) => println!("item {index}: done in {time} ms"),
            Err(failure) => println!("item {index}: {failure}"),
        }
    }

    // No item starts after the deadline, and a result that comes later does not count.
    let report = executor.batch([20; 100]).deadline(Instant::now() + millis(150)).run(work);
    let done = report.outcomes().iter().filter(|outcome| outcome.is_ok()).count();
    println!("{done} of 100 items were done by the deadline");
    assert!(matches!(report.outcomes()[99], Err(Failure::BatchDeadline(_))));

    // Any thread may cancel, also a job. The stream ends with a failure that says so.
    let token = CancellationToken::new();
    let mut done = 0;
    for outcome in executor.batch(std::iter::repeat(1)).cancelled_by(&token).stream(work)? {
        match outcome {
            Ok(_) => done += 1,
            Err(Failure::Cancelled(_)) => break,
            Err(failure) => return Err(failure.into()),
        }
        if done == 10 {
            token.cancel();
        }
    }
    println!("cancelled an endless stream after {done} items");
    Ok(())
}
