//! Sources that block: pulled items run meanwhile, and another thread takes the place of a worker.
//!
//! A test here hangs, and fails by its time limit, if a thread waits for the source that it should
//! not wait for.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::{CancellationToken, Executor, Failure};

/// Opens streams over silent channels, and waits until each has a worker inside its source.
fn silent_streams(
    executor: &Executor,
    count: usize,
) -> (Vec<Sender<usize>>, Vec<reorder_executor::Ordered<'static, usize>>) {
    let (senders, sources): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel()).unzip();
    let streams = sources.into_iter().map(|source| executor.stream(source, |n| n)).collect();
    (senders, streams)
}

fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns a source of known length that waits at an item.
fn waits_at(
    at: usize,
    items: Range<usize>,
    latch: &Latch,
) -> impl ExactSizeIterator<Item = usize> + Send + use<> {
    let latch = latch.clone();
    items.inspect(move |&n| {
        if n == at {
            latch.wait();
        }
    })
}

#[test]
fn silent_streams_keep_no_worker_from_anything_else() {
    for workers in [1, 2] {
        with_timeout(move || {
            let executor = executor(workers);
            let (senders, silent) = silent_streams(&executor, 3 * workers);
            assert_eq!(executor.stream(0..10, |n| n).count(), 10);
            let submitted = executor.batch(0..10).submit(|n, _| Ok::<_, ()>(n)).unwrap();
            assert_eq!(submitted.wait().into_values().unwrap(), (0..10).collect::<Vec<_>>());
            let scoped = executor.scope(|scope| scope.stream(0..10, |n| n).count());
            assert_eq!(scoped, 10);
            // All of them still work.
            for (sender, mut stream) in senders.into_iter().zip(silent) {
                sender.send(7).unwrap();
                assert_eq!(stream.next().unwrap().unwrap(), 7);
                drop(sender);
                assert!(stream.next().is_none());
            }
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_took_a_place_end_and_the_monitor_too() {
    fn threads(name: &str) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let comm = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
        let names = tasks.filter_map(|task| comm(task.ok()?).ok());
        names.filter(|other| other.starts_with(name)).count()
    }
    with_timeout(|| {
        let executor = Executor::builder().workers(2).thread_name("place").build().unwrap();
        for _ in 0..2 {
            let (senders, silent) = silent_streams(&executor, 5);
            wait_until(|| {
                let snapshot = executor.snapshot();
                snapshot.workers().iter().filter(|worker| worker.is_pulling()).count() == 5
            });
            // One for each source, two workers and the monitor.
            assert!(threads("place-") <= 8, "{}", threads("place-"));
            drop(senders);
            drop(silent);
            wait_until(|| threads("place-") == 2);
        }
        assert_eq!(executor.workers(), 2);
        assert_eq!(executor.map(0..1000, |n| n).len(), 1000);
    });
}

#[test]
fn after_some_items_of_a_live_channel_the_worker_is_back() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, source) = mpsc::channel();
        (0..3).for_each(|n| sender.send(n).unwrap());
        assert_eq!(executor.stream(source, |n| n).take(3).count(), 3);
        assert_eq!(executor.stream(0..10, |n| n).count(), 10);
        drop(sender);
    });
}

#[test]
fn a_drop_waits_for_a_job_and_for_no_source() {
    with_timeout(|| {
        let (executor, token) = (executor(1), CancellationToken::new());
        let (_sender, source) = mpsc::channel::<u64>();
        let silent = executor.batch(source).cancelled_by(&token).stream(|n, _| Ok::<_, ()>(n));
        let mut silent = silent.unwrap();
        let (started, ended) = (Latch::default(), Arc::new(AtomicUsize::new(0)));
        let (in_job, counts) = (started.clone(), Arc::clone(&ended));
        let running = executor.stream([()], move |()| {
            in_job.open();
            thread::sleep(Duration::from_millis(50));
            counts.fetch_add(1, SeqCst);
        });
        started.wait();
        token.cancel();
        assert!(matches!(silent.next(), Some(Err(Failure::Cancelled(_)))));
        drop(silent);
        drop(executor);
        assert_eq!(ended.load(SeqCst), 1, "the drop did not wait for the job");
        assert_eq!(running.count(), 1);
    });
}

#[test]
fn pulled_items_are_delivered_while_the_source_stalls() {
    for at in [1, 2, 63, 64, 100, 1000] {
        with_timeout(move || {
            let (executor, latch) = (executor(2), Latch::default());
            let mut stream = executor.stream(waits_at(at, 0..2000, &latch), |n| n);
            for n in 0..at {
                assert_eq!(stream.next().unwrap().unwrap(), n);
            }
            latch.open();
            assert!(stream.map(Result::unwrap).eq(at..2000));
        });
    }
}

#[test]
fn pulled_items_of_a_scope_are_delivered_while_the_source_stalls() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let lines: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        executor.scope(|scope| {
            let source = waits_at(500, 0..1000, &latch).map(|n| &lines[n]);
            let mut stream = scope.stream(source, |line| line.len());
            assert_eq!(stream.by_ref().take(500).count(), 500);
            latch.open();
            assert_eq!(stream.count(), 500);
        });
    });
}

/// Items that are larger than those for which a pull takes many.
#[test]
fn large_items_are_delivered_while_the_source_stalls() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let source = waits_at(300, 0..600, &latch).map(|n| [n; 30]);
        let mut stream = executor.stream(source, |item| item[29]);
        assert_eq!(stream.by_ref().take(300).count(), 300);
        latch.open();
        assert_eq!(stream.count(), 300);
    });
}

#[test]
fn items_of_a_map_run_while_its_source_stalls() {
    for at in [1, 40, 64, 100] {
        with_timeout(move || {
            let (executor, latch, runs) = (executor(2), Latch::default(), AtomicUsize::new(0));
            thread::scope(|scope| {
                let map = || {
                    executor.map(waits_at(at, 0..200, &latch), |n| {
                        // Long enough to be shared.
                        thread::sleep(Duration::from_micros(50));
                        runs.fetch_add(1, SeqCst);
                        n
                    })
                };
                let map = scope.spawn(map);
                wait_until(|| runs.load(SeqCst) == at);
                latch.open();
                assert!(map.join().unwrap().into_iter().eq(0..200));
            });
        });
    }
}

/// A bound on the number of items under way, which the source waits for.
#[derive(Clone)]
struct Budget(Arc<(Mutex<usize>, Condvar)>);

impl Budget {
    fn new(items: usize) -> Budget {
        Budget(Arc::new((Mutex::new(items), Condvar::new())))
    }

    fn take(&self) {
        let left = self.0.0.lock().unwrap();
        *self.0.1.wait_while(left, |left| *left == 0).unwrap() -= 1;
    }

    fn give_back(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }
}

#[test]
fn a_source_may_wait_until_its_consumer_has_taken_items() {
    for budget in [1, 7, 50] {
        with_timeout(move || {
            let (executor, budget) = (executor(2), Budget::new(budget));
            let taken = budget.clone();
            let stream = executor.stream((0..5000).inspect(move |_| taken.take()), |n| n);
            let count = stream.inspect(|_| budget.give_back()).count();
            assert_eq!(count, 5000);
        });
    }
}

#[test]
fn a_source_may_wait_until_its_items_have_run() {
    for budget in [1, 7, 50] {
        with_timeout(move || {
            let (executor, budget) = (executor(2), Budget::new(budget));
            let (taken, given) = (budget.clone(), budget.clone());
            let source = (0..1000).inspect(move |_| taken.take());
            assert_eq!(executor.stream(source, move |_| given.give_back()).count(), 1000);
            let taken = budget.clone();
            let source = (0..1000).inspect(move |_| taken.take());
            assert_eq!(executor.map(source, |_| budget.give_back()).len(), 1000);
        });
    }
}

/// The only worker is the consumer of a stream whose source waits for it.
#[test]
fn a_job_may_consume_a_stream_whose_source_waits_for_it() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let mut outer = executor.stream([()], move |()| {
            let budget = Budget::new(3);
            let taken = budget.clone();
            let stream = inner.stream((0..1000).inspect(move |_| taken.take()), |n| n);
            stream.inspect(|_| budget.give_back()).count()
        });
        assert_eq!(outer.next().unwrap().unwrap(), 1000);
    });
}

/// A job takes from a stream whose source is silent. Its worker does not count either.
#[test]
fn a_job_inside_a_source_keeps_no_worker() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let (sender, source) = mpsc::channel::<usize>();
        let (inner, source) = (Arc::clone(&executor), Mutex::new(Some(source)));
        let mut outer = executor.stream([()], move |()| {
            let source = source.lock().unwrap().take().unwrap();
            inner.stream(source, |n| n).next().unwrap().unwrap()
        });
        assert_eq!(executor.stream(0..10, |n| n).count(), 10);
        sender.send(5).unwrap();
        assert_eq!(outer.next().unwrap().unwrap(), 5);
    });
}

#[test]
fn the_snapshot_names_a_worker_that_is_kept_by_a_call_that_was_let_go() {
    with_timeout(|| {
        let executor = Executor::builder().workers(1).thread_name("kept").build().unwrap();
        let latch = Latch::default();
        let inside = latch.clone();
        let batch = executor.batch([()]).item_timeout(Duration::from_millis(20));
        let batch = batch.submit(move |(), _| {
            inside.wait();
            Ok::<_, ()>(())
        });
        assert!(batch.unwrap().wait().into_outcomes()[0].is_err());
        let snapshot = executor.snapshot();
        let [worker] = snapshot.workers() else { panic!("{snapshot}") };
        assert_eq!((worker.name(), worker.is_pulling()), ("kept-0", false));
        assert!(!worker.is_call_open());
        assert!(snapshot.to_string().contains("kept-0 runs an item of call 1"), "{snapshot}");
        latch.open();
    });
}
