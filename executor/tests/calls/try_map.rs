//! `try_map`: all values, or the error that a loop would return.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::{LiveCounter, executor, with_timeout};
use reorder_executor::{Executor, Failure, ItemError, Shutdown};

#[test]
fn values_come_in_order() {
    let executor = executor(2);
    let numbers: Vec<u64> = (0..10_000).collect();
    let doubled = executor.try_map(&numbers, |n| Ok::<_, ()>(n * 2)).unwrap();
    assert!(doubled.into_iter().eq((0..10_000).map(|n| n * 2)));
    assert_eq!(executor.try_map(Vec::<u64>::new(), Err::<u64, _>).unwrap(), []);
}

/// Returns a number of the sequence of xorshift.
fn random(state: &Cell<u64>, bound: u64) -> u64 {
    let mut next = state.get();
    next ^= next << 13;
    next ^= next >> 7;
    next ^= next << 17;
    state.set(next);
    (next >> 32) % bound
}

#[test]
fn the_error_is_that_of_a_loop() {
    let executor = executor(3);
    let state = Cell::new(0x9e37_79b9_7f4a_7c15);
    for round in 0..300 {
        // Errors at random indices. Lower indices take longer, so that later errors come first.
        let items: Vec<(u64, bool)> = (0..random(&state, 40))
            .map(|index| (index, random(&state, 4 + round % 20) == 0))
            .collect();
        let job = |&(index, fails): &(u64, bool)| {
            if index < 8 {
                thread::sleep(Duration::from_micros(200 - 20 * index));
            }
            if fails { Err(index) } else { Ok(index) }
        };
        let expected = items.iter().map(job).collect::<Result<Vec<_>, _>>();
        let found = executor.try_map(&items, job);
        if let Err(error) = &found {
            assert_eq!(Some(&(error.index as u64)), error.failure.error());
        }
        assert_eq!(found.map_err(|error| error.failure.into_error().unwrap()), expected);
    }
}

#[test]
fn no_item_behind_a_failure_starts() {
    with_timeout(|| {
        // The only worker is the caller, so no other thread runs items.
        let executor = std::sync::Arc::new(executor(1));
        let inner = std::sync::Arc::clone(&executor);
        let batch = executor.batch([()]).submit(move |(), _| {
            let ran = Mutex::new(Vec::new());
            let error = inner.try_map(0..1000, |n| {
                ran.lock().unwrap().push(n);
                if n == 70 { Err("seventy") } else { Ok(n) }
            });
            Ok::<_, ()>((error.unwrap_err().index, ran.into_inner().unwrap()))
        });
        let [(index, ran)] = &batch.unwrap().wait().into_values().unwrap()[..] else { panic!() };
        assert_eq!(*index, 70);
        assert!(ran.iter().copied().eq(0..=70), "{ran:?}");
    });
}

#[test]
fn a_panic_is_a_failure_at_its_index() {
    let executor = executor(2);
    let job = |n: u32| match n {
        6 => panic!("six"),
        7 => Err("seven"),
        n => Ok(n),
    };
    let error = executor.try_map(0..10, job).unwrap_err();
    let ItemError { index: 6, failure: Failure::Panicked(panic), .. } = error else { panic!() };
    assert_eq!(panic.message(), "six");
    let error = executor.try_map((0..10).rev(), job).unwrap_err();
    assert!(matches!(
        error,
        ItemError { index: 2, failure: Failure::Failed { error: "seven", .. }, .. }
    ));
}

#[test]
fn a_question_mark_passes_the_error_on() {
    fn parsed(executor: &Executor, texts: &[String]) -> Result<Vec<u32>, Box<dyn Error>> {
        Ok(executor.try_map(texts, |text| text.parse::<u32>())?)
    }
    fn read(executor: &Executor, panics: bool) -> io::Result<Vec<()>> {
        let refused = || io::Error::new(io::ErrorKind::PermissionDenied, "not yours");
        let job = |_| if panics { panic!("no") } else { Err(refused()) };
        Ok(executor.try_map([()], job)?)
    }
    let executor = executor(1);
    assert_eq!(parsed(&executor, &["1".into(), "2".into()]).unwrap(), [1, 2]);
    let error = parsed(&executor, &["1".into(), "x".into()]).unwrap_err();
    assert_eq!(error.to_string(), "item 1: the job failed: invalid digit found in string");
    let error = read(&executor, false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "item 0: the job failed: not yours");
    let error = read(&executor, true).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::Other, "item 0: the job panicked: no")
    );
}

#[test]
fn nothing_is_lost_or_dropped_twice() {
    let (executor, items, results) = (executor(2), LiveCounter::default(), LiveCounter::default());
    for failing in [None, Some(0), Some(500), Some(999)] {
        let ran = AtomicUsize::new(0);
        let tracked = (0..1000).map(|n| items.track(n));
        let values = executor.try_map(tracked, |item| {
            ran.fetch_add(1, SeqCst);
            let result = results.track(item.value);
            if Some(item.value) == failing { Err(result) } else { Ok(result) }
        });
        assert_eq!(values.is_err(), failing.is_some());
        assert!(ran.into_inner() > failing.unwrap_or(999) as usize);
        drop(values);
        assert_eq!((items.alive(), results.alive()), (0, 0));
    }
}

#[test]
fn after_a_shutdown_it_is_refused() {
    let executor = executor(1);
    _ = executor.shutdown(Shutdown::Abort, None);
    let error = executor.try_map([1], Ok::<_, ()>).unwrap_err();
    assert!(matches!(error, ItemError { index: 0, failure: Failure::ShutDown(_), .. }));
}
