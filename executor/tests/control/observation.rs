//! Handles of streams and batches beyond `next`: index, number, progress, `peek`, and waits with a
//! limit.

use std::convert::Infallible;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Latch, LiveCounter, are_in_time, block_on, executor, kinds, with_enough_time, with_timeout,
};
use reorder_executor::{
    CancellationToken, Executor, Failure, IteratorExt, Job, Shutdown, TimedOut,
};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(100);

#[test]
fn the_index_is_that_of_the_next_outcome() {
    // Cheap items, so that chunks of several outcomes are taken from the ring at once.
    let executor = Executor::builder().workers(2).window(1024).build().unwrap();
    let mut stream = executor.stream(0..5000_u64, |n| n);
    for index in 0..5000 {
        assert_eq!(stream.index(), index);
        if index % 3 == 0 {
            assert_eq!(stream.peek().unwrap().as_ref().unwrap(), &index);
            assert_eq!(stream.index(), index);
        }
        assert_eq!(stream.next().unwrap().unwrap(), index);
    }
    assert!(stream.peek().is_none() && stream.next().is_none());
    assert_eq!(stream.index(), 5000);
}

#[test]
fn a_fold_begins_with_the_peeked_outcome() {
    let executor = Executor::builder().workers(2).window(1024).build().unwrap();
    for taken in [0, 1, 100, 2500, 4999] {
        let mut stream = executor.stream(0..5000_u64, |n| n);
        assert_eq!(stream.by_ref().take(taken).count(), taken);
        assert_eq!(stream.peek().unwrap().as_ref().unwrap(), &(taken as u64));
        let mut rest = Vec::new();
        stream.for_each(|outcome| rest.push(outcome.unwrap()));
        assert!(rest.into_iter().eq(taken as u64..5000), "{taken} taken");
    }
}

#[test]
fn a_peeked_outcome_is_dropped_once() {
    let (executor, results) = (executor(1), LiveCounter::default());
    let tracker = results.clone();
    let mut stream = executor.stream(0..100, move |n| tracker.track(n));
    assert_eq!(stream.peek().unwrap().as_ref().unwrap().value, 0);
    drop(stream);
    results.wait_until_none_alive();
}

#[test]
fn a_wait_with_a_limit_returns_and_the_stream_goes_on() {
    with_timeout(|| {
        let executor = executor(2);
        let late = Latch::default();
        let latch = late.clone();
        let mut stream = executor.stream(0..100_u64, move |n| {
            if n == 1 {
                latch.wait();
            }
            n
        });
        assert_eq!(stream.next_timeout(LONG).unwrap().unwrap().unwrap(), 0);
        for _ in 0..3 {
            assert!(matches!(stream.next_timeout(SHORT), Err(TimedOut)));
            assert!(matches!(stream.next_timeout(Duration::ZERO), Err(TimedOut)));
            assert!(matches!(stream.next_deadline(Instant::now()), Err(TimedOut)));
        }
        assert_eq!(stream.index(), 1);
        late.open();
        for n in 1..100 {
            assert_eq!(stream.next_timeout(Duration::MAX).unwrap().unwrap().unwrap(), n);
        }
        assert!(stream.next_timeout(LONG).unwrap().is_none());
        assert!(stream.next_timeout(Duration::ZERO).unwrap().is_none());
    });
}

#[test]
fn an_outcome_that_is_there_comes_despite_a_deadline_that_has_passed() {
    with_timeout(|| {
        let executor = executor(1);
        let mut stream = executor.stream(0..3, |n| n);
        while stream.progress().finished() < 3 {
            thread::yield_now();
        }
        for n in 0..3 {
            // The item has run, and its outcome may be an instant away.
            let outcome = loop {
                match stream.next_timeout(Duration::ZERO) {
                    Ok(outcome) => break outcome,
                    Err(TimedOut) => thread::yield_now(),
                }
            };
            assert_eq!(outcome.unwrap().unwrap(), n);
        }
    });
}

#[test]
fn a_consumer_with_a_deadline_runs_no_items_unless_it_has_to() {
    with_timeout(|| {
        let executor = executor(1);
        let here = thread::current().id();
        let mut stream = executor.stream(0..20_000, |_| thread::current().id());
        loop {
            match stream.next_timeout(LONG) {
                Ok(Some(outcome)) => assert_ne!(outcome.unwrap(), here),
                Ok(None) => break,
                Err(TimedOut) => panic!("a worker is free"),
            }
        }
        // The only worker is the consumer.
        let (inner, outer) = (Arc::new(executor), mpsc::channel());
        let executor = Arc::clone(&inner);
        let batch = executor.batch([()]).submit(move |(), _| {
            let mut stream = inner.stream(0..100_u64, |n| n);
            let mut sum = 0;
            loop {
                match stream.next_timeout(Duration::ZERO) {
                    Ok(Some(outcome)) => sum += outcome.unwrap(),
                    Ok(None) => break,
                    Err(TimedOut) => {}
                }
            }
            outer.0.send(sum).unwrap();
            Ok::<_, Infallible>(sum)
        });
        assert_eq!(outer.1.recv(), Ok(4950));
        assert_eq!(batch.unwrap().wait().into_values().unwrap(), [4950]);
    });
}

#[test]
fn limits_hold_while_the_consumer_waits_with_a_limit() {
    let test = |time| {
        let (executor, late) = (executor(1), Latch::default());
        let latch = late.clone();
        let batch = executor.batch(0..2).item_timeout(time);
        let job = move |n, _: &reorder_executor::Job<'_>| {
            if n == 0 {
                latch.wait();
            }
            Ok::<_, Infallible>(n)
        };
        let mut stream = batch.stream(job).unwrap();
        let first = loop {
            if let Ok(outcome) = stream.next_timeout(SHORT) {
                break outcome;
            }
        };
        assert!(matches!(first, Some(Err(Failure::ItemDeadline(_)))));
        late.open();
        let second = stream.next_timeout(LONG).unwrap().unwrap();
        are_in_time(&kinds(&[second]), ".")
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn a_batch_is_waited_for_with_a_limit() {
    with_timeout(|| {
        let (executor, late) = (executor(1), Latch::default());
        let latch = late.clone();
        let batch = executor.batch(0..10).submit(move |n, _| {
            if n == 4 {
                latch.wait();
            }
            Ok::<_, Infallible>(n)
        });
        let mut handle = batch.unwrap();
        while handle.progress().finished() < 4 {
            thread::yield_now();
        }
        for _ in 0..3 {
            assert!(!handle.wait_timeout(SHORT), "item 4 is missing");
        }
        let progress = handle.progress();
        assert_eq!((progress.delivered(), progress.finished()), (4, 4));
        assert!((5..=10).contains(&progress.pulled()));
        late.open();
        assert!(handle.wait_timeout(LONG) && handle.wait_timeout(Duration::ZERO));
        assert_eq!(handle.progress().delivered(), 10);
        assert_eq!(block_on(handle).into_values().unwrap(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn a_number_is_that_of_the_snapshot() {
    let executor = executor(2);
    let go = Latch::default();
    let wait = || {
        let go = go.clone();
        move |n: u8| {
            go.wait();
            n
        }
    };
    let (first, second, third) = (wait(), wait(), wait());
    let stream = executor.stream(0..1, first);
    let batch = executor.batch(0..1).submit(move |n, _| Ok::<_, ()>(second(n))).unwrap();
    let limited = executor.batch(0..1).stream(move |n, _| Ok::<_, ()>(third(n))).unwrap();
    executor.scope(|scope| {
        let scoped = scope.stream(0..1, |_| go.wait());
        let ids = [stream.id(), Some(batch.id()), limited.id(), scoped.id()];
        let snapshot = executor.snapshot();
        assert!(snapshot.calls().iter().map(|call| Some(call.id())).eq(ids));
        go.open();
    });
    assert_eq!(batch.wait().into_values().unwrap(), [0]);
    _ = executor.shutdown(Shutdown::Drain, None);
    assert_eq!(executor.stream(0..1, |n| n).id(), None);
    assert_eq!(executor.scope(|scope| scope.stream(0..1, |n| n).id()), None);
}

#[test]
fn the_size_is_exact_where_that_of_the_source_is() {
    let executor = Executor::builder().workers(2).window(1024).build().unwrap();
    let mut values = (0..5000_u64).ordered_map_in(&executor, |n| n);
    for left in (0..=5000).rev() {
        assert_eq!(values.size_hint(), (left, Some(left)));
        assert_eq!(values.next().is_some(), left > 0);
    }
    assert_eq!(values.size_hint(), (0, Some(0)));

    let mut odd = executor.stream((0..10).filter(|n| n % 2 == 1), |n| n);
    assert_eq!(odd.size_hint(), (0, Some(10)));
    _ = odd.next();
    assert_eq!(odd.size_hint().1, Some(9));
    assert_eq!(odd.count(), 4);
    assert_eq!(executor.stream(0_u64.., |n| n).size_hint(), (0, None));
    assert_eq!(executor.stream(mpsc::channel::<u8>().1, |n| n).size_hint(), (0, None));
    let results = [1, 2, 3].into_iter().try_ordered_map_in(&executor, Ok::<_, ()>);
    assert_eq!(results.size_hint(), (1, Some(3)));
    executor.scope(|scope| assert_eq!(scope.stream([1, 2].iter(), |n| *n).size_hint().0, 2));

    let token = CancellationToken::new();
    let mut limited =
        executor.batch(0..10).cancelled_by(&token).stream(|n, _| Ok::<_, ()>(n)).unwrap();
    assert_eq!(limited.size_hint(), (1, Some(11)));
    assert!(limited.next().unwrap().is_ok());
    token.cancel();
    let (least, most) = limited.size_hint();
    let left = limited.count();
    assert!(least <= left && left <= most.unwrap());
}

#[test]
fn a_panic_of_a_size_is_no_panic_of_the_call() {
    struct Unsized;
    impl Iterator for Unsized {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            None
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            panic!("no size, on purpose")
        }
    }
    let mut stream = executor(1).stream(Unsized, |n| n);
    assert_eq!(stream.size_hint(), (0, None));
    assert!(matches!(stream.next(), Some(Err(Failure::SourcePanicked(_)))));
    assert!(stream.next().is_none());
}

#[test]
fn each_failure_is_counted_once() {
    with_timeout(|| {
        let executor = Executor::builder().workers(2).window(64).build().unwrap();
        let mut stream = executor.stream(0..1000, |n| assert!(n % 10 != 3, "on purpose"));
        assert_eq!(stream.by_ref().filter(Result::is_err).count(), 100);
        assert_eq!(stream.progress().failed(), 100);
        assert_eq!(stream.progress().succeeded(), 900);
        let odd = |n: u32, _: &Job<'_>| if n % 2 == 1 { Err(n) } else { Ok(n) };
        let mut handle = executor.batch(0..10).submit(odd).unwrap();
        assert!(handle.wait_timeout(LONG));
        assert_eq!((handle.progress().failed(), handle.progress().succeeded()), (5, 5));
        let (sender, mut outcomes) = executor.batch(()).queue(odd).build().unwrap();
        (0..10).for_each(|n| sender.send(n).unwrap());
        drop((sender.reserve().unwrap(), sender));
        assert_eq!(outcomes.by_ref().count(), 11);
        assert_eq!((outcomes.progress().failed(), outcomes.progress().succeeded()), (6, 5));

        let source = (0..9).inspect(|&n| assert!(n < 4, "on purpose"));
        let mut stream = executor.stream(source, |n| n);
        assert_eq!(stream.by_ref().count(), 5);
        assert_eq!((stream.progress().failed(), stream.progress().succeeded()), (1, 4));
        let token = CancellationToken::new();
        token.cancel();
        let mut stream = executor.batch(0..10).cancelled_by(&token).stream(odd).unwrap();
        assert_eq!(stream.by_ref().count(), 1);
        assert_eq!(stream.progress().failed(), 1);

        // An item that is skipped, and that fails later.
        let late = Latch::default();
        let latch = late.clone();
        let batch = executor.batch(0..2).item_timeout(Duration::from_millis(10));
        let mut stream = batch
            .stream(move |n, _| {
                latch.wait();
                Err::<(), u32>(n)
            })
            .unwrap();
        // No worker is free to find the end of the source.
        assert_eq!(stream.by_ref().take(2).count(), 2);
        late.open();
        assert!(stream.until_idle(None));
        assert_eq!((stream.progress().failed(), stream.progress().succeeded()), (2, 0));
    });
}

#[test]
fn items_without_a_value_have_not_succeeded() {
    with_timeout(|| {
        let (executor, token, late) = (executor(1), CancellationToken::new(), Latch::default());
        let latch = late.clone();
        let batch = executor.batch(0..100).cancelled_by(&token).submit(move |n, _| {
            if n == 4 {
                latch.wait();
            }
            Ok::<_, Infallible>(n)
        });
        let mut handle = batch.unwrap();
        while handle.progress().succeeded() < 4 {
            thread::yield_now();
        }
        token.cancel();
        assert!(handle.wait_timeout(LONG));
        // Item 4 runs on, and has no value. Neither have the items that did not start.
        assert_eq!(handle.progress().succeeded(), 4);
        late.open();
        assert!(handle.until_idle(None));
        assert_eq!(handle.progress().succeeded(), 4);
        let outcomes = handle.wait().into_outcomes();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    });
}
