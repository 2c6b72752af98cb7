//! Executors whose jobs call each other. Each executor has one worker, so a worker that only waited
//! would never be woken.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::common::{executor, with_timeout};
use reorder_executor::Executor;

/// Runs a job on an executor as its only item, and returns the result.
type Run = fn(&Executor, Box<dyn Fn() -> u32 + Send + Sync>) -> u32;

fn by_stream(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    executor.stream([()], move |()| job()).next().unwrap().unwrap()
}

fn by_stream_of_unknown_length(
    executor: &Executor,
    job: Box<dyn Fn() -> u32 + Send + Sync>,
) -> u32 {
    executor.stream([()].into_iter().filter(|()| true), move |()| job()).next().unwrap().unwrap()
}

fn by_scope(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    executor.scope(|scope| scope.stream([()], |()| job()).next()).unwrap().unwrap()
}

fn by_limits(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    let stream = executor.batch([()]).stream(move |(), _| Ok::<_, ()>(job()));
    stream.unwrap().next().unwrap().unwrap()
}

fn by_submit(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    let batch = executor.batch([()]).submit(move |(), _| Ok::<_, ()>(job()));
    batch.unwrap().wait().into_values().unwrap()[0]
}

/// Polls on the worker until the outcome is there.
fn by_polling(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    let mut stream = executor.stream([()], move |()| job());
    let mut next = pin!(poll_fn(|cx| stream.poll_next(cx)));
    loop {
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => return outcome.unwrap().unwrap(),
            Poll::Pending => thread::yield_now(),
        }
    }
}

fn by_map(executor: &Executor, job: Box<dyn Fn() -> u32 + Send + Sync>) -> u32 {
    executor.map([(), ()], |()| job()).into_iter().max().unwrap()
}

const WAYS: &[Run] =
    &[by_stream, by_stream_of_unknown_length, by_scope, by_limits, by_submit, by_polling, by_map];

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
fn jobs_of_two_executors_call_each_other_in_every_way() {
    with_timeout(|| {
        let executors: Arc<[Executor]> = [executor(1), executor(1)].into();
        for &run in WAYS {
            for &deeper in WAYS {
                assert_eq!(descend(&executors, 4, run, deeper), 4);
            }
        }
    });
}

#[test]
fn a_circle_of_three_executors_is_no_deadlock() {
    with_timeout(|| {
        let executors: Arc<[Executor]> = [executor(1), executor(1), executor(1)].into();
        assert_eq!(descend(&executors, 9, by_stream, by_submit), 9);
    });
}

/// The source of a stream is pulled by a worker, and takes from another executor's stream.
#[test]
fn a_source_may_take_from_a_stream_of_another_executor() {
    with_timeout(|| {
        let (first, second) = (Arc::new(executor(1)), Arc::new(executor(1)));
        let inner = second.stream(0..100_u32, {
            let first = Arc::clone(&first);
            move |n| first.stream([n], |n| n + 1).next().unwrap().unwrap()
        });
        let outer = first.stream(inner.map(Result::unwrap), |n| n * 2);
        assert!(outer.map(Result::unwrap).eq((1..=100).map(|n| n * 2)));
    });
}
