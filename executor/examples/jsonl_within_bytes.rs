//! Parses lines of JSON in parallel, with a budget of 1 MiB for the lines in memory.
//!
//! One more line waits for room. A line that is longer than the budget passes alone.
//!
//! ```sh
//! cargo run -p reorder-executor --example jsonl_within_bytes              # a sample
//! cargo run -p reorder-executor --example jsonl_within_bytes -- FILE
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use reorder_executor::{Executor, ItemError};
use serde_json::Value;

const MOST: u64 = 1 << 20;

/// Returns the total of the field `bytes` of all records.
fn total(executor: &Executor, input: Box<dyn BufRead + Send>) -> Result<u64, Box<dyn Error>> {
    let weigh = |line: &io::Result<String>| line.as_ref().map_or(0, |line| line.len() as u64);
    let records = executor.batch(input.lines()).weight(MOST, weigh).stream(|line, job| {
        let record: Value = serde_json::from_str(&line?)?;
        // The line is gone, and its number is small.
        job.set_weight(8);
        record["bytes"].as_u64().ok_or_else(|| io::Error::other("no field `bytes`"))
    })?;
    let mut total = 0;
    for bytes in records.item_results() {
        // The error names the line.
        total += bytes?;
    }
    Ok(total)
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().build()?;
    if let Some(path) = std::env::args().nth(1) {
        println!("{}", total(&executor, Box::new(BufReader::new(File::open(path)?)))?);
        return Ok(());
    }
    let record = |n: usize| format!("{{\"path\": \"{}\", \"bytes\": {n}}}\n", "x".repeat(n));
    let sample: String = (0..2000).map(record).collect();
    let sum = total(&executor, Box::new(io::Cursor::new(sample.clone())))?;
    println!("{} bytes of JSON, a total of {sum}", sample.len());
    assert_eq!(sum, (0..2000).sum::<u64>());

    let damaged = sample.replace("\"bytes\": 7}", "}");
    let error = total(&executor, Box::new(io::Cursor::new(damaged))).unwrap_err();
    println!("{error}");
    let error = error.downcast::<ItemError<io::Error>>()?;
    assert_eq!((error.index, error.failure.attempts()), (7, 1));
    Ok(())
}
