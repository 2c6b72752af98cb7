//! Futures that take a millisecond each, of which 64 are in flight. The consumer is idle, or busy
//! for some time after each result.
//!
//! The peers run on a runtime of tokio with two threads, beside the thread of the consumer.
//! `buffered` polls the futures in the task of the consumer. `tokio-buffered` spawns each of them.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream, StreamExt as _};
use reorder_executor::StreamExt as _;
use tokio::runtime::{Builder, Runtime};

use super::RunComparison;
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, OURS, Sample, check_results};
use crate::compare::job::busy;

/// The number of futures in flight.
const WINDOW: usize = 64;
/// The threads of the runtime.
const THREADS: usize = 2;
/// The time for which a busy consumer works on a result.
const BUSY_MICROS: u64 = 20;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let count = settings.amount(10_000, 300);
    for (workload, micros) in [("async-idle", 0), ("async-busy", BUSY_MICROS)] {
        let mut comparison = Comparison::new(workload, THREADS, settings);
        comparison.add_peer(OURS, runtime, move |runtime, _| {
            measure(runtime, count, micros, || ours(runtime, count))
        });
        comparison.add_peer("buffered", runtime, move |runtime, _| {
            measure(runtime, count, micros, || buffered(count))
        });
        comparison.add_peer("tokio-buffered", runtime, move |runtime, _| {
            measure(runtime, count, micros, || tokio_buffered(runtime, count))
        });
        run_comparison(comparison);
    }
}

async fn work(number: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    number
}

fn ours(runtime: &Runtime, count: u64) -> impl Stream<Item = u64> {
    let handle = runtime.handle().clone();
    let spawner = move |task| _ = handle.spawn(task);
    let results = stream::iter(0..count).map_ordered(spawner, WINDOW, work);
    results.map(|result| result.expect("no panic"))
}

fn buffered(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count).map(work).buffered(WINDOW)
}

fn tokio_buffered(runtime: &Runtime, count: u64) -> impl Stream<Item = u64> {
    let results = stream::iter(0..count).map(|number| runtime.spawn(work(number)));
    results.buffered(WINDOW).map(|result| result.expect("no panic"))
}

fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_time().build();
    runtime.expect("start a runtime")
}

/// Takes all results of a stream, and works for some time after each.
fn measure<S: Stream<Item = u64>>(
    runtime: &Runtime,
    count: u64,
    micros: u64,
    open: impl FnOnce() -> S,
) -> Result<Sample, String> {
    let mut results = Vec::with_capacity(count as usize);
    let start = Instant::now();
    runtime.block_on(async {
        let mut stream = pin!(open());
        while let Some(result) = stream.next().await {
            if micros > 0 {
                std::hint::black_box(busy(result, micros));
            }
            results.push(result);
        }
    });
    let nanos = start.elapsed().as_nanos() as f64 / count as f64;
    check_results(&results, &(0..count).collect::<Vec<_>>())?;
    Ok(Sample { nanos, ..Sample::default() })
}
