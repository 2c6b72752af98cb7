//! Compares `stream_async` with `buffered` of the `futures` crate: both deliver the outputs of
//! futures in order, to a consumer that blocks its thread after each output.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use futures::StreamExt;
use reorder_executor::Executor;
use reorder_requests::{AttemptOutcome, RequestsExt};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

const FUTURES: u64 = 100;
/// The number of futures that run at the same time.
const RUNNING: usize = 10;
/// The number of times that a future sleeps for a millisecond.
const SLEEPS: u32 = 10;

async fn work(n: u64) -> u64 {
    for _ in 0..SLEEPS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    n
}

/// Blocks the consumer's thread, as it does after each output.
fn busy() {
    thread::sleep(Duration::from_millis(2));
}

pub(crate) fn consumers(c: &mut Criterion) {
    let executor = Executor::builder().workers(1).build().expect("start an executor");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("start a runtime");
    let mut group = c.benchmark_group("busy consumer of futures");
    group.sample_size(10);
    group.bench_function("ours", |b| {
        b.iter(|| {
            let handle = runtime.handle().clone();
            let spawner = move |task: Task| drop(handle.spawn(task));
            let requests = executor.batch(0..FUTURES).requests();
            let requests = requests.concurrency(NonZeroUsize::new(RUNNING).expect("not zero"));
            let outcomes = requests
                .stream_async(spawner, |n, _| async move {
                    AttemptOutcome::<_, ()>::Done(work(*n).await)
                })
                .expect("the executor is not shut down");
            outcomes.inspect(|_| busy()).filter(Result::is_ok).count()
        });
    });
    group.bench_function("buffered", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let outcomes = futures::stream::iter((0..FUTURES).map(work)).buffered(RUNNING);
                outcomes.inspect(|_| busy()).count().await
            })
        });
    });
    group.finish();
}
