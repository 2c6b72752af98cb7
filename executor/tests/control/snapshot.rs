//! Snapshots of open calls: the head of line and the progress that they report.

use std::thread;
use std::time::Duration;

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::{CallKind, Executor, Head, OpenCall};

/// Takes snapshots until a call satisfies `is_so`, and returns that call.
fn until(executor: &Executor, is_so: impl Fn(&OpenCall) -> bool) -> OpenCall {
    loop {
        if let Some(call) = executor.snapshot().calls().iter().find(|call| is_so(call)) {
            return call.clone();
        }
        thread::yield_now();
    }
}

#[test]
fn a_stuck_head_is_reported_with_the_results_that_wait_behind_it() {
    with_timeout(|| {
        let executor =
            Executor::builder().workers(2).window(16).thread_name("named").build().unwrap();
        assert_eq!(executor.snapshot().to_string(), "nothing is open");
        let latch = Latch::default();
        let inside = latch.clone();
        let mut stream = executor.batch(0..).stream(move |n, _| {
            if n == 5 {
                inside.wait();
            }
            Ok::<_, ()>(n)
        });
        let stream = stream.as_mut().unwrap();
        thread::scope(|scope| {
            let consumer = scope.spawn(|| stream.take(6).map(Result::unwrap).collect::<Vec<_>>());
            assert_stuck_head_is_reported(&executor);
            latch.open();
            assert_eq!(consumer.join().unwrap(), [0, 1, 2, 3, 4, 5]);
        });
    });
}

fn assert_stuck_head_is_reported(executor: &Executor) {
    let quick = executor.batch(0..1000).submit(|n, _| Ok::<_, ()>(n)).unwrap();
    assert_eq!(quick.wait().into_outcomes().len(), 1000);
    let stuck = until(executor, |call| call.head_index() == 5 && call.waiting() == 15);
    assert_eq!((stuck.id(), stuck.kind()), (1, CallKind::Stream));
    let Head::Running { worker, .. } = stuck.head() else { panic!("{stuck:?}") };
    assert!(["named-0", "named-1"].contains(&worker.as_str()));
    let time = Duration::from_millis(5);
    let stalled = until(executor, |call| call.stalled_for() >= Some(time));
    assert!(stalled.age() >= time);
    assert_eq!(executor.snapshot().stalled(Duration::ZERO).count(), 1);
    let text = executor.snapshot().to_string();
    assert!(text.starts_with("stream 1, open for "), "{text}");
    assert!(text.contains(&format!(": item 5 is with {worker} for ")), "{text}");
}

#[test]
fn a_blocking_source_is_reported_unlike_one_that_is_not_pulled() {
    with_timeout(|| {
        let executor = Executor::builder().workers(1).window(2).build().unwrap();
        let latch = Latch::default();
        let inside = latch.clone();
        let source = (0..10).inspect(move |&n| {
            if n == 1 {
                inside.wait();
            }
        });
        let mut stream = executor.stream(source, |n| n);
        assert_eq!(stream.next().unwrap().unwrap(), 0);
        // The consumer publishes its position only when it asks for the next outcome.
        let call = until(&executor, |call| {
            matches!(call.head(), Head::AtSource { .. }) || call.head_index() == 0
        });
        assert_eq!((call.pulled(), call.kind()), (1, CallKind::Stream));
        let behind = executor.stream(0..10, |n| n);
        let unasked = until(&executor, |call| call.id() == 2);
        assert_eq!((unasked.head(), unasked.pulled(), unasked.waiting()), (&Head::NotPulled, 0, 0));
        latch.open();
        assert!(stream.map(Result::unwrap).eq(1..10));
        assert!(behind.map(Result::unwrap).eq(0..10));
        assert!(executor.snapshot().calls().is_empty());
    });
}

#[test]
fn a_batch_reports_its_progress_by_completed_blocks() {
    with_timeout(|| {
        let executor = executor(2);
        let latch = Latch::default();
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                executor.map_indexed(1000, |n| {
                    if n == 10 {
                        latch.wait();
                    }
                    n
                })
            });
            // The other thread has run every item that it can take over from the stuck one.
            let call = until(&executor, |call| call.waiting() > 600);
            assert_eq!((call.kind(), call.head_index(), call.pulled()), (CallKind::Batch, 0, 1000));
            assert!(call.waiting() < 1000);
            latch.open();
            assert!(caller.join().unwrap().into_iter().eq(0..1000));
        });
    });
}
