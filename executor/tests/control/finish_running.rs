//! A shutdown that starts nothing more, and lets the jobs that run finish.

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{Latch, executor, kinds, with_timeout};
use reorder_executor::{ConcurrencyLimit, Failure, Shutdown};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn running_jobs_finish_and_no_other_starts() {
    with_timeout(|| {
        for is_stream in [false, true] {
            let executor = executor(2);
            let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
            let stuck = latch.clone();
            let job = move |n: u64, job: &reorder_executor::Job<'_>| {
                entered.send(()).unwrap();
                stuck.wait();
                assert!(!job.should_stop());
                Ok::<_, ()>(n)
            };
            let batch = executor.batch(0..6_u64);
            let consumer = if is_stream {
                let stream = batch.stream(job).unwrap();
                thread::spawn(move || stream.collect::<Vec<_>>())
            } else {
                let handle = batch.submit(job).unwrap();
                thread::spawn(move || handle.wait().into_outcomes())
            };
            entries.recv().unwrap();
            entries.recv().unwrap();
            let report = executor.shutdown(Shutdown::FinishRunning, Some(20 * MS));
            assert!(!report.is_complete(), "two jobs run");
            latch.open();
            assert!(executor.shutdown(Shutdown::FinishRunning, None).is_complete());
            let outcomes = consumer.join().unwrap();
            let expected = if is_stream { "..s" } else { "..ssss" };
            assert_eq!(kinds(&outcomes), expected);
            assert!(matches!(&outcomes[2], Err(Failure::ShutDown(item)) if !item.was_pulled()));
        }
    });
}

#[test]
fn items_of_a_queue_that_have_not_started_get_failures() {
    with_timeout(|| {
        let executor = executor(1);
        let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
        let stuck = latch.clone();
        let queue = executor.batch(()).queue(move |n: u64, _| {
            entered.send(()).unwrap();
            stuck.wait();
            Ok::<_, ()>(n)
        });
        let (sender, outcomes) = queue.build().unwrap();
        (0..3).for_each(|n| sender.send(n).unwrap());
        entries.recv().unwrap();
        let consumer = thread::spawn(move || outcomes.collect::<Vec<_>>());
        assert!(!executor.shutdown(Shutdown::FinishRunning, Some(20 * MS)).is_complete());
        latch.open();
        let outcomes = consumer.join().unwrap();
        assert_eq!(kinds(&outcomes), ".sss");
        let was_pulled = |outcome: &Result<u64, Failure<()>>| match outcome {
            Err(Failure::ShutDown(item)) => item.was_pulled(),
            _ => true,
        };
        assert_eq!(outcomes.iter().map(was_pulled).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(sender.send(3).unwrap_err().into_inner(), 3);
    });
}

/// A thread that leaves the source while no more threads may run items leaves its item to others.
#[test]
fn an_item_of_a_stream_that_waits_for_a_thread_gets_a_failure() {
    with_timeout(|| {
        let threads = |count| NonZeroUsize::new(count).unwrap();
        let (executor, limit) = (executor(2), ConcurrencyLimit::new(threads(2)));
        let (in_job, in_source) = (Latch::default(), Latch::default());
        let (stuck, blocked) = (in_job.clone(), in_source.clone());
        let (entered, entries) = mpsc::channel();
        let source_entered = entered.clone();
        let source = (0..4_u64).inspect(move |&n| {
            if n == 1 {
                source_entered.send(()).unwrap();
                blocked.wait();
            }
        });
        let batch = executor.batch(source).item_timeout(HOUR).concurrency(limit.clone());
        let stream = batch.stream(move |n, _| {
            entered.send(()).unwrap();
            stuck.wait();
            Ok::<_, ()>(n)
        });
        let stream = stream.unwrap();
        (0..2).for_each(|_| entries.recv().unwrap());
        limit.set(threads(1));
        in_source.open();
        while stream.progress().pulled() < 2 {
            thread::yield_now();
        }
        let consumer = thread::spawn(move || stream.collect::<Vec<_>>());
        assert!(!executor.shutdown(Shutdown::FinishRunning, Some(20 * MS)).is_complete());
        in_job.open();
        let outcomes = consumer.join().unwrap();
        assert_eq!(kinds(&outcomes), ".ss");
        assert!(matches!(&outcomes[1], Err(Failure::ShutDown(item)) if item.was_pulled()));
    });
}

/// A worker pulls for a consumer that is a worker, too, and leaves it an item.
#[test]
fn an_item_that_was_pulled_for_the_consumer_gets_a_failure() {
    with_timeout(|| {
        let (executor, other) = (executor(1), executor(1));
        let (in_job, in_source) = (Latch::default(), Latch::default());
        let (stuck, blocked) = (in_job.clone(), in_source.clone());
        let (entered, entries) = mpsc::channel();
        let source_entered = entered.clone();
        let source = (0..9_u64).inspect(move |&n| {
            if n == 0 {
                source_entered.send(n).unwrap();
                blocked.wait();
            }
        });
        let batch = executor.batch(source).item_timeout(HOUR).concurrency(NonZeroUsize::MIN);
        let stream = batch.stream(move |n, _| {
            if n == 1 {
                entered.send(n).unwrap();
                stuck.wait();
            }
            Ok::<_, ()>(n)
        });
        let mut stream = stream.unwrap();
        assert_eq!(entries.recv(), Ok(0));
        let (sender, _tasks) = other.task_queue().build().unwrap();
        let (done, outcomes) = mpsc::channel();
        let consume = move || {
            // The workers notice that this worker helps.
            assert!(stream.next_timeout(MS).is_err());
            in_source.open();
            assert_eq!(entries.recv(), Ok(1));
            assert!(!executor.shutdown(Shutdown::FinishRunning, Some(20 * MS)).is_complete());
            in_job.open();
            done.send(stream.collect::<Vec<_>>()).unwrap();
        };
        sender.push(consume).unwrap();
        let outcomes = outcomes.recv().unwrap();
        assert_eq!(kinds(&outcomes), "..ss");
        assert!(matches!(&outcomes[2], Err(Failure::ShutDown(item)) if item.was_pulled()));
    });
}
