//! Sends a lot of records to a service. Some of them fail, and Ctrl-C ends the work early.
//!
//! ```sh
//! cargo run -p reorder-executor --example bulk_client
//! ```

use std::error::Error;
use std::time::Duration;

use reorder_executor::{AttemptOutcome, BatchReport, CancellationToken, Executor, Failure, Retry};

/// Sends a record. The service is busy now and then, and refuses each tenth record.
fn send(record: u64, attempt: u32) -> AttemptOutcome<u64, String> {
    match record {
        _ if record % 7 == 0 && attempt == 1 => {
            AttemptOutcome::Retry { error: "busy".to_owned(), after: None }
        }
        _ if record % 10 == 9 => AttemptOutcome::Failed(format!("record {record} is invalid")),
        _ => AttemptOutcome::Done(record),
    }
}

/// Sends all records. `on_record` is called before each attempt.
fn send_all(
    executor: &Executor,
    interrupted: &CancellationToken,
    on_record: impl Fn(u64) + Send + Sync + 'static,
) -> Result<BatchReport<u64, String>, Box<dyn Error>> {
    let retry = Retry::new().retries(3).wait(Duration::from_millis(1), Duration::from_millis(9));
    let batch = executor.batch(0..100_u64).cancelled_by(interrupted).requests().retry(retry);
    let handle = batch.submit(move |&record, attempt| {
        on_record(record);
        send(record, attempt.number())
    })?;
    Ok(handle.wait())
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(4).build()?;
    let interrupted = CancellationToken::new();
    let token = interrupted.clone();
    ctrlc::set_handler(move || token.cancel())?;

    let report = send_all(&executor, &interrupted, |_| {})?;
    for (index, failure) in report.failures() {
        println!("record {index}, {} attempt(s): {failure}", failure.attempts());
    }
    if interrupted.is_cancelled() {
        return Err("interrupted".into());
    }
    let sent = report.outcomes().iter().filter(|outcome| outcome.is_ok()).count();
    println!("{sent} of 100 records were sent");
    assert_eq!(sent, 90);

    // The same, with a Ctrl-C in the middle: records that did not start are reported as cancelled.
    let (interrupted, token) = (CancellationToken::new(), interrupted.child_token());
    let report = send_all(&executor, &token.clone(), move |record| {
        if record == 50 {
            token.cancel();
        }
    })?;
    let unsent = report.failures().filter(|(_, it)| matches!(it, Failure::Cancelled(_))).count();
    println!("after a Ctrl-C, {unsent} records are left");
    assert!(unsent > 0 && !interrupted.is_cancelled());
    Ok(())
}
