//! What is told about open calls.

mod common;

use std::thread;
use std::time::Duration;

use common::{Door, executor, without_hanging};
use reorder_executor::{CallKind, Executor, Head, OpenCall};

/// Looks until a call is as it should be.
fn until(executor: &Executor, is_so: impl Fn(&OpenCall) -> bool) -> OpenCall {
    loop {
        if let Some(call) = executor.snapshot().calls().iter().find(|call| is_so(call)) {
            return call.clone();
        }
        thread::yield_now();
    }
}

#[test]
fn a_stuck_head_is_named_with_what_waits_behind_it() {
    without_hanging(|| {
        let executor =
            Executor::builder().workers(2).window(16).thread_name("named").build().unwrap();
        assert_eq!(executor.snapshot().to_string(), "nothing is open");
        let door = Door::default();
        let inside = door.clone();
        let mut stream = executor.batch(0..).stream(move |n, _| {
            if n == 5 {
                inside.pass();
            }
            Ok::<_, ()>(n)
        });
        let stream = stream.as_mut().unwrap();
        thread::scope(|scope| {
            let consumer = scope.spawn(|| stream.take(6).map(Result::unwrap).collect::<Vec<_>>());
            look_at_the_stuck_head(&executor);
            door.open();
            assert_eq!(consumer.join().unwrap(), [0, 1, 2, 3, 4, 5]);
        });
    });
}

fn look_at_the_stuck_head(executor: &Executor) {
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
fn a_source_that_keeps_a_worker_is_told_from_one_that_nobody_asks() {
    without_hanging(|| {
        let executor = Executor::builder().workers(1).window(2).build().unwrap();
        let door = Door::default();
        let inside = door.clone();
        let source = (0..10).inspect(move |&n| {
            if n == 1 {
                inside.pass();
            }
        });
        let mut stream = executor.stream(source, |n| n);
        assert_eq!(stream.next().unwrap().unwrap(), 0);
        // The consumer says how far it is when it asks for more.
        let call = until(&executor, |call| {
            matches!(call.head(), Head::AtSource { .. }) || call.head_index() == 0
        });
        assert_eq!((call.pulled(), call.kind()), (1, CallKind::Stream));
        let behind = executor.stream(0..10, |n| n);
        let unasked = until(&executor, |call| call.id() == 2);
        assert_eq!((unasked.head(), unasked.pulled(), unasked.waiting()), (&Head::NotPulled, 0, 0));
        door.open();
        assert!(stream.map(Result::unwrap).eq(1..10));
        assert!(behind.map(Result::unwrap).eq(0..10));
        assert!(executor.snapshot().calls().is_empty());
    });
}

#[test]
fn a_batch_tells_how_far_it_is_by_its_cells() {
    without_hanging(|| {
        let executor = executor(2);
        let door = Door::default();
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                executor.map_indexed(1000, |n| {
                    if n == 10 {
                        door.pass();
                    }
                    n
                })
            });
            // All that is out of reach of the one that is stuck has run.
            let call = until(&executor, |call| call.waiting() > 600);
            assert_eq!((call.kind(), call.head_index(), call.pulled()), (CallKind::Batch, 0, 1000));
            assert!(call.waiting() < 1000);
            door.open();
            assert!(caller.join().unwrap().into_iter().eq(0..1000));
        });
    });
}
