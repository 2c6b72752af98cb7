//! The source iterators of batches: sources that panic, that block, and whose `size_hint` is wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::common::{LiveCounter, executor, with_timeout};

/// A source with any `size_hint`, right or wrong.
struct WithHint<S>(S, (usize, Option<usize>));

impl<S: Iterator> Iterator for WithHint<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

#[test]
fn a_wrong_size_hint_changes_no_result() {
    let (executor, live) = (executor(2), LiveCounter::default());
    for items in [0, 1, 63, 64, 65, 1000] {
        for claimed in [0, 1, 64, 999, 1000, 1001, 1064, 20_000] {
            for hint in [(claimed, Some(claimed)), (0, Some(claimed)), (claimed, None)] {
                let made = (0..items).map(|value| live.track(value));
                let values = executor.map(WithHint(made, hint), |item| item.value);
                assert!(values.into_iter().eq(0..items), "{items} items, size hint {hint:?}");
            }
        }
    }
    assert_eq!(live.alive(), 0);
}

#[test]
fn panics_have_their_index_beyond_the_claimed_length() {
    let executor = executor(2);
    let report = executor.execute_batch(WithHint(0..1000u64, (300, Some(300))), |item| {
        assert!(item % 100 != 7);
    });
    let panicked = report.outcomes().iter().zip(0..).filter(|(outcome, _)| outcome.is_err());
    assert!(panicked.map(|(_, index)| index).eq((0..10u64).map(|n| n * 100 + 7)));

    let map = || executor.map(WithHint(0..1000, (300, Some(300))), |n| assert!(n != 555, "{n}"));
    let payload = catch_unwind(AssertUnwindSafe(map)).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("555"));
}

#[test]
fn values_are_dropped_though_a_job_and_other_drops_panic() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("a value");
        }
    }
    let executor = executor(2);
    for _ in 0..20 {
        for bad in [10, 250] {
            let map = || {
                let source = WithHint(0..300, (200, Some(200)));
                executor.map(source, |n| if n == bad { panic!("{n}") } else { PanicsOnDrop }).len()
            };
            let payload = catch_unwind(AssertUnwindSafe(map)).unwrap_err();
            assert_eq!(payload.downcast_ref::<String>(), Some(&bad.to_string()));
        }
    }
}

#[test]
fn items_before_a_source_panic_run_and_are_dropped() {
    let (executor, items, results) = (executor(2), LiveCounter::default(), LiveCounter::default());
    for (end, hint) in [(5, 10), (64, 64), (64, 128), (700, 5000)] {
        let runs = AtomicUsize::new(0);
        let source =
            (0..=end).map(|value| if value == end { panic!("source") } else { items.track(value) });
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            executor.map(WithHint(source, (hint, Some(hint))), |item| {
                runs.fetch_add(1, SeqCst);
                assert!(item.value != 3, "a job panics, too");
                results.track(item.value)
            });
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"source"));
        assert_eq!(runs.load(SeqCst) as u64, end);
        assert_eq!((items.alive(), results.alive()), (0, 0));
    }
}

#[test]
fn panics_of_dropped_values_do_not_hide_the_panic_of_the_source() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("a value");
        }
    }
    struct Source(u64, u64);
    impl Iterator for Source {
        type Item = u64;
        fn next(&mut self) -> Option<u64> {
            assert!(self.0 != self.1, "the source");
            self.0 += 1;
            (self.0 <= 100).then_some(self.0)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (100, Some(100))
        }
    }
    impl Drop for Source {
        fn drop(&mut self) {
            if self.1 != u64::MAX {
                panic!("the drop of the source");
            }
        }
    }
    let executor = executor(2);
    let call = |end| {
        let values =
            executor.map(Source(0, end), |n| if end < 50 { Err(PanicsOnDrop) } else { Ok(n) });
        values.into_iter().map(|value| value.unwrap_or(0)).max()
    };
    for _ in 0..50 {
        // The costs of earlier calls decide whether the caller begins alone or shares at once.
        assert!(call(u64::MAX).is_some());
        for end in [0, 1, 5, 40] {
            let payload = catch_unwind(AssertUnwindSafe(|| call(end))).unwrap_err();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"the source"));
        }
    }
}

#[test]
fn a_source_of_unknown_length_that_panics_starts_no_job() {
    let (executor, items) = (executor(1), LiveCounter::default());
    let runs = AtomicUsize::new(0);
    let source =
        (0..10).map(|value| if value == 5 { panic!("source") } else { items.track(value) });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        executor.map(source.filter(|_| true), |_| runs.fetch_add(1, SeqCst));
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"source"));
    assert_eq!((runs.load(SeqCst), items.alive()), (0, 0));
}

#[test]
fn items_run_while_their_source_waits_for_them() {
    with_timeout(|| {
        let (executor, runs) = (executor(2), AtomicUsize::new(0));
        // The source returns each hundredth item only when most items before it have run.
        let source = (0..2000usize).inspect(|&item| {
            while item % 100 == 0 && runs.load(SeqCst) + 128 < item {
                thread::yield_now();
            }
        });
        executor.map(source, |_| runs.fetch_add(1, SeqCst));
        assert_eq!(runs.load(SeqCst), 2000);
    });
}

#[test]
fn a_source_is_dropped_by_its_caller_after_all_items_have_run() {
    struct RecordsDrop<'a>(&'a AtomicUsize, &'a Mutex<Vec<(usize, thread::ThreadId)>>);
    impl Drop for RecordsDrop<'_> {
        fn drop(&mut self) {
            self.1.lock().unwrap().push((self.0.load(SeqCst), thread::current().id()));
        }
    }
    let (executor, runs, dropped) = (executor(2), AtomicUsize::new(0), Mutex::default());
    let capture = RecordsDrop(&runs, &dropped);
    executor.map((0..1000).inspect(move |_| _ = &capture), |_| runs.fetch_add(1, SeqCst));
    assert_eq!(dropped.into_inner().unwrap(), [(1000, thread::current().id())]);
}
