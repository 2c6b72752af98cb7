//! Shows which item holds up a call, and at which worker. Then shuts the executor down.
//!
//! ```sh
//! cargo run -p reorder-executor --example snapshot_and_shutdown
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::thread;
use std::time::Duration;

use reorder_executor::{Executor, Shutdown};

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).thread_name("worker").build()?;
    let millis = Duration::from_millis;

    // The first item is slow. The results of the others wait for it.
    let slow_first = executor.batch([300, 1, 1, 1]).submit(move |time, _job| {
        thread::sleep(millis(time));
        Ok::<_, Infallible>(time)
    })?;
    thread::sleep(millis(100));
    println!("after 100 ms:\n{}", executor.snapshot());

    // From now on the executor refuses new work. `Drain` runs the items of the calls that are open.
    let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(10)));
    println!("drained: {}, calls left open: {}", report.is_complete(), report.open_calls());
    assert!(report.is_complete());

    // The handle still has the results of its batch.
    assert_eq!(slow_first.wait().into_values().expect("no job fails"), [300, 1, 1, 1]);

    // A refused batch gives its items back.
    let batch = executor.batch(vec![1, 2]);
    let refused = batch.submit(|n, _job| Ok::<_, Infallible>(n)).unwrap_err();
    println!("refused: {refused}");
    assert_eq!(refused.into_inner(), [1, 2]);

    // Calls that their caller can run alone still work.
    assert_eq!(executor.map([1, 2], |n| n * 10), [10, 20]);
    Ok(())
}
