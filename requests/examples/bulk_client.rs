//! Sends a lot of records to a service. Some of them fail, and Ctrl-C ends the work early.
//!
//! After Ctrl-C, a cancelled record with 0 attempts was not sent. Any other record may have reached
//! the service. So the service must recognise doubles before a client sends such records again.
//!
//! ```sh
//! cargo run -p reorder-requests --example bulk_client
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use reorder_executor::{BatchReport, CancellationToken, Executor, Failure};
use reorder_requests::{Attempt, AttemptOutcome, RequestsExt, Retry};

const MS: Duration = Duration::from_millis(1);

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

/// Sends all records. `before_send` is called before each attempt.
fn send_all(
    executor: &Executor,
    interrupted: &CancellationToken,
    before_send: impl Fn(u64, &Attempt) + Send + Sync + 'static,
) -> Result<BatchReport<u64, String>, Box<dyn Error>> {
    let retry = Retry::new().retries(3).wait(MS, 9 * MS);
    let batch = executor.batch(0..100_u64).cancelled_by(interrupted).requests().retry(retry);
    let handle = batch.submit(move |&record, attempt| {
        before_send(record, attempt);
        send(record, attempt.number())
    })?;
    Ok(handle.wait())
}

/// Returns the numbers of records that the service has answered, that it may have got, and that it
/// has not got.
fn counts(report: &BatchReport<u64, String>) -> [usize; 3] {
    let mut counts = [0; 3];
    for outcome in report.outcomes() {
        let kind = match outcome {
            Ok(_) | Err(Failure::Failed { .. }) => 0,
            Err(failure) if failure.attempts() > 0 => 1,
            Err(_) => 2,
        };
        counts[kind] += 1;
    }
    counts
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(4).build()?;
    let interrupted = CancellationToken::new();
    let token = interrupted.clone();
    ctrlc::set_handler(move || token.cancel())?;

    let report = send_all(&executor, &interrupted, |_, _| {})?;
    for (index, failure) in report.failures() {
        println!("record {index}, {} attempt(s): {failure}", failure.attempts());
    }
    let [answered, perhaps_sent, not_sent] = counts(&report);
    println!("{answered} answers, {perhaps_sent} perhaps sent, {not_sent} not sent");
    if interrupted.is_cancelled() {
        return Err("interrupted".into());
    }
    assert_eq!((answered, report.failures().count()), (100, 10));

    // The same with a Ctrl-C at record 50. From then on, the service does not answer.
    let interrupted = CancellationToken::new();
    let token = interrupted.clone();
    let report = send_all(&executor, &interrupted, move |record, attempt| {
        if record == 50 {
            token.cancel();
        }
        while record > 50 && !attempt.should_stop() {
            thread::sleep(MS);
        }
    })?;
    let [answered, perhaps_sent, not_sent] = counts(&report);
    println!("Ctrl-C: {answered} answers, {perhaps_sent} perhaps sent, {not_sent} not sent");
    // Each worker may have started one record behind record 50.
    assert!(not_sent >= 100 - 51 - 4);
    Ok(())
}
