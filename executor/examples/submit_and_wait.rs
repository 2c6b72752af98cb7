//! Submits batches that run in the background, and collects them later: one blocks, one is awaited.
//!
//! ```sh
//! cargo run -p reorder-executor --example submit_and_wait
//! ```

use std::error::Error;
use std::num::ParseIntError;
use std::thread;
use std::time::Duration;

use reorder_executor::{Executor, Failure};

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).build()?;

    // Both batches run at the same time, whether a thread waits for them or not.
    let squares = executor.batch(1..=20_u64).submit(|n, _job| {
        thread::sleep(Duration::from_millis(5));
        Ok::<_, ParseIntError>(n * n)
    })?;
    let texts = ["12", "x", "7", ""];
    let numbers = executor.batch(texts).submit(|text, _job| text.parse::<u32>())?;

    println!("submitted; this thread does something else meanwhile");
    thread::sleep(Duration::from_millis(10));
    println!("all squares are there already: {}", squares.is_finished());

    // A handle is a future. Any runtime can await it; this one blocks the thread.
    let report = futures_executor::block_on(numbers);
    for (text, outcome) in texts.iter().zip(report.outcomes()) {
        match outcome {
            Ok(number) => println!("{text:?} is {number}"),
            Err(Failure::Failed { error, .. }) => println!("{text:?} is no number: {error}"),
            Err(failure) => println!("{text:?}: {failure}"),
        }
    }
    assert_eq!(report.outcomes().iter().filter(|outcome| outcome.is_ok()).count(), 2);

    // `wait` blocks until each item has an outcome.
    let squares = squares.wait().into_values()?;
    println!("squares: {squares:?}");
    assert_eq!(squares.last(), Some(&400));
    Ok(())
}
