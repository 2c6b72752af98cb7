//! Runs a batch in a program with `panic = "abort"`, for `ci/abort.sh`. With an argument, one job
//! panics.

use reorder_executor::Executor;

fn main() {
    let panics = std::env::args().len() > 1;
    let executor = Executor::builder().workers(2).build().expect("start an executor");
    let report = executor.execute_batch(0..100u32, |n| {
        assert!(n != 50 || !panics, "this job panics on purpose");
        n * 2
    });
    let values: Vec<u32> = report.into_values().expect("no job panics");
    assert!(values.iter().copied().eq((0..100).map(|n| n * 2)));
    println!("abort: a batch without a panic returns all its values");
}
