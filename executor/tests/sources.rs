//! Where the items of a batch come from: sources that panic, that wait, that say wrongly how many
//! items they have.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use common::{Census, executor, without_hanging};

/// Says something about how many items it has.
struct Claiming<S>(S, (usize, Option<usize>));

impl<S: Iterator> Iterator for Claiming<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

#[test]
fn a_source_is_believed_about_nothing_but_its_items() {
    let (executor, census) = (executor(2), Census::default());
    for items in [0, 1, 63, 64, 65, 1000] {
        for said in [0, 1, 64, 999, 1000, 1001, 1064, 20_000] {
            for hint in [(said, Some(said)), (0, Some(said)), (said, None)] {
                let made = (0..items).map(|value| census.join(value));
                let values = executor.map(Claiming(made, hint), |item| item.value);
                assert!(values.into_iter().eq(0..items), "{items} items, {hint:?} said");
            }
        }
    }
    assert_eq!(census.alive(), 0);
}

#[test]
fn panics_keep_their_indices_in_what_comes_unexpected() {
    let executor = executor(2);
    let report = executor.execute_batch(Claiming(0..1000u64, (300, Some(300))), |item| {
        assert!(item % 100 != 7);
    });
    let panicked = report.outcomes().iter().zip(0..).filter(|(outcome, _)| outcome.is_err());
    assert!(panicked.map(|(_, index)| index).eq((0..10u64).map(|n| n * 100 + 7)));

    let map = || executor.map(Claiming(0..1000, (300, Some(300))), |n| assert!(n != 555, "{n}"));
    let payload = catch_unwind(AssertUnwindSafe(map)).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("555"));
}

#[test]
fn values_of_one_part_are_dropped_whatever_panics_in_the_other() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a value");
        }
    }
    let executor = executor(2);
    for _ in 0..20 {
        for bad in [10, 250] {
            let map = || {
                let source = Claiming(0..300, (200, Some(200)));
                executor.map(source, |n| if n == bad { panic!("{n}") } else { Bomb }).len()
            };
            let payload = catch_unwind(AssertUnwindSafe(map)).unwrap_err();
            assert_eq!(payload.downcast_ref::<String>(), Some(&bad.to_string()));
        }
    }
}

#[test]
fn what_came_before_a_source_panics_runs_and_is_dropped() {
    let (executor, items, results) = (executor(2), Census::default(), Census::default());
    for (end, hint) in [(5, 10), (64, 64), (64, 128), (700, 5000)] {
        let runs = AtomicUsize::new(0);
        let source =
            (0..=end).map(|value| if value == end { panic!("source") } else { items.join(value) });
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            executor.map(Claiming(source, (hint, Some(hint))), |item| {
                runs.fetch_add(1, SeqCst);
                assert!(item.value != 3, "an item, too");
                results.join(item.value)
            });
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"source"));
        assert_eq!(runs.load(SeqCst) as u64, end);
        assert_eq!((items.alive(), results.alive()), (0, 0));
    }
}

#[test]
fn nothing_that_is_dropped_hides_the_panic_of_the_source() {
    struct Bomb;
    impl Drop for Bomb {
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
                panic!("its drop");
            }
        }
    }
    let executor = executor(2);
    let call = |end| {
        let values = executor.map(Source(0, end), |n| if end < 50 { Err(Bomb) } else { Ok(n) });
        values.into_iter().map(|value| value.unwrap_or(0)).max()
    };
    for _ in 0..50 {
        // Begun alone or shared, by what the calls before took.
        assert!(call(u64::MAX).is_some());
        for end in [0, 1, 5, 40] {
            let payload = catch_unwind(AssertUnwindSafe(|| call(end))).unwrap_err();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"the source"));
        }
    }
}

#[test]
fn a_source_of_unknown_length_that_panics_starts_nothing() {
    let (executor, items) = (executor(1), Census::default());
    let runs = AtomicUsize::new(0);
    let source = (0..10).map(|value| if value == 5 { panic!("source") } else { items.join(value) });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        executor.map(source.filter(|_| true), |_| runs.fetch_add(1, SeqCst));
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"source"));
    assert_eq!((runs.load(SeqCst), items.alive()), (0, 0));
}

#[test]
fn items_run_while_their_source_waits_for_them() {
    without_hanging(|| {
        let (executor, runs) = (executor(2), AtomicUsize::new(0));
        // Each hundredth item comes when most of those before it have run.
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
    struct Witness<'a>(&'a AtomicUsize, &'a Mutex<Vec<(usize, thread::ThreadId)>>);
    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            self.1.lock().unwrap().push((self.0.load(SeqCst), thread::current().id()));
        }
    }
    let (executor, runs, dropped) = (executor(2), AtomicUsize::new(0), Mutex::default());
    let witness = Witness(&runs, &dropped);
    executor.map((0..1000).inspect(move |_| _ = &witness), |_| runs.fetch_add(1, SeqCst));
    assert_eq!(dropped.into_inner().unwrap(), [(1000, thread::current().id())]);
}
