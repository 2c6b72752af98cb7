//! Futures in order for a consumer that is busy between two of them: ours, and `buffered` of futures.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use futures::StreamExt;
use reorder_executor::{AttemptOutcome, Executor};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

const FUTURES: u64 = 100;
/// At the same time.
const RUNNING: usize = 10;
/// How many calls of a millisecond a future makes, one after the other.
const CALLS: u32 = 10;

async fn work(n: u64) -> u64 {
    for _ in 0..CALLS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    n
}

/// What the consumer does with each.
fn busy() {
    thread::sleep(Duration::from_millis(2));
}

pub(crate) fn consumers(c: &mut Criterion) {
    let executor = Executor::builder().workers(1).build().expect("a thread");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a thread");
    let mut group = c.benchmark_group("busy consumer of futures");
    group.sample_size(10);
    group.bench_function("ours", |b| {
        b.iter(|| {
            let handle = runtime.handle().clone();
            let spawner = move |task: Task| drop(handle.spawn(task));
            let requests = executor.batch(0..FUTURES).requests();
            let requests = requests.concurrency(NonZeroUsize::new(RUNNING).expect("above 0"));
            let outcomes = requests
                .stream_async(spawner, |n, _| async move {
                    AttemptOutcome::<_, ()>::Done(work(*n).await)
                })
                .expect("it is not shut down");
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
