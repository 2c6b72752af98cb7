//! Measures the cost of limits per item: a batch without limits, with each of them, and submitted,
//! streamed and as requests.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use reorder_executor::{BatchBuilder, CancellationToken, Executor, Job};
use reorder_requests::{Attempt, AttemptOutcome, RequestsExt};

const ITEMS: u64 = 10_000;
/// A limit that no measurement reaches.
const NEVER_REACHED: Duration = Duration::from_secs(3600);

type Items = std::ops::Range<u64>;

fn job(n: u64, _: &Job<'_>) -> Result<u64, ()> {
    Ok(black_box(n) * 2)
}

pub(crate) fn kinds(c: &mut Criterion) {
    let executor = Executor::builder().workers(1).build().expect("start an executor");
    let batch = || executor.batch(0..ITEMS);
    let token = CancellationToken::new();
    let mut group = c.benchmark_group("limits");
    group.throughput(Throughput::Elements(ITEMS));
    group.bench_function("map", |b| b.iter(|| executor.map(0..ITEMS, |n| black_box(n) * 2)));
    type Limited<'e> = (&'static str, Box<dyn Fn() -> BatchBuilder<'e, Items> + 'e>);
    let limited: [Limited<'_>; 6] = [
        ("none", Box::new(batch)),
        ("fail_fast", Box::new(|| batch().fail_fast())),
        ("token", Box::new(|| batch().cancelled_by(&token))),
        ("deadline", Box::new(|| batch().deadline(Instant::now() + NEVER_REACHED))),
        ("item_timeout", Box::new(|| batch().item_timeout(NEVER_REACHED))),
        ("timed", Box::new(|| batch().timed())),
    ];
    for (name, limited) in &limited {
        group.bench_function(*name, |b| b.iter(|| limited().run(job)));
    }
    group.bench_function("submit", |b| {
        b.iter(|| batch().submit(job).expect(NOT_SHUT_DOWN).wait());
    });
    group.bench_function("stream", |b| {
        b.iter(|| batch().stream(job).expect(NOT_SHUT_DOWN).filter(Result::is_ok).count());
    });
    let request = |&n: &u64, _: &Attempt| AttemptOutcome::<_, ()>::Done(black_box(n) * 2);
    group.bench_function("requests", |b| {
        b.iter(|| batch().requests().submit(request).expect(NOT_SHUT_DOWN).wait());
    });
    group.finish();
}

const NOT_SHUT_DOWN: &str = "the executor is not shut down";
