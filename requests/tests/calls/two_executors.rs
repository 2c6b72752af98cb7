//! Executors whose jobs call each other by requests. Each executor has one worker, so a worker that
//! only waited would never be woken.

use std::sync::Arc;

use crate::common::{executor, with_timeout};
use reorder_executor::Executor;
use reorder_requests::{AttemptOutcome, RequestsExt};

/// Runs a job on an executor as its only item, and returns the result.
type Run = fn(&Executor, Box<dyn Fn() -> u32 + Send + Sync>) -> u32;

fn by_requests(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    let done = move |(): &(), _: &_| AttemptOutcome::<_, ()>::Done(job());
    let batch = executor.batch([()]).requests().submit(done);
    batch.unwrap().wait().into_values().unwrap()[0]
}

fn by_stream(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    executor.stream([()], move |()| job()).next().unwrap().unwrap()
}

fn by_submit(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    let batch = executor.batch([()]).submit(move |(), _| Ok::<_, ()>(job()));
    batch.unwrap().wait().into_values().unwrap()[0]
}

const WAYS: &[Run] = &[by_requests, by_stream, by_submit, by_map];

fn by_map(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    executor.map([(), ()], |()| job()).into_iter().max().unwrap()
}

/// Runs a job that calls the next executor of a circle, and so on.
fn descend(executors: &Arc<[Executor]>, levels: u32, run: Run, deeper: Run) -> u32 {
    if levels == 0 {
        return 0;
    }
    let next = Arc::clone(executors);
    let executor = &executors[levels as usize % executors.len()];
    run(executor, Box::new(move || 1 + descend(&next, levels - 1, deeper, run)))
}

#[test]
fn attempts_of_two_executors_call_each_other_in_every_way() {
    with_timeout(|| {
        let executors: Arc<[Executor]> = [executor(1), executor(1)].into();
        for &way in WAYS {
            assert_eq!(descend(&executors, 4, by_requests, way), 4);
            assert_eq!(descend(&executors, 4, way, by_requests), 4);
        }
    });
}
