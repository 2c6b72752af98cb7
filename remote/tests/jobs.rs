//! Jobs of every kind, on the link within one process, with a paused clock.

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{expected, owner, square, square_worker, squares};
use reorder_remote::{
    Acknowledgement, AnswerStats, AttemptOutcome, Channel, Faults, Gap, InProcess, Link, MessageId,
    OwnerError, Task, Worker,
};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

#[tokio::test(start_paused = true)]
async fn results_come_in_order_and_nothing_is_left() {
    for items_per_message in [1, 3, 1000] {
        let link = InProcess::new();
        let workers = [square_worker(&link), square_worker(&link)];
        let builder = owner(&link).window(16).items_per_message(items_per_message);
        let opened = builder.open().await.unwrap();
        assert_eq!(squares(opened, 100).await.unwrap(), expected(0..100));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((link.stored(Channel::Tasks), link.stored(Channel::Results)), (0, 0));
        workers.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_source_ends_at_once() {
    let link = InProcess::new();
    let opened = owner(&link).open().await.unwrap();
    assert_eq!(squares(opened, 0).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn the_window_bounds_the_items_that_are_out() {
    let link = InProcess::new();
    let opened = owner(&link).window(5).open().await.unwrap();
    let taken = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&taken);
    let source = (0..100u64).inspect(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    let mut results = opened.map(source, |n| n).results::<u64>();
    // No worker runs, so nothing arrives.
    let wait = tokio::time::timeout(Duration::from_secs(5), results.next());
    assert!(wait.await.is_err());
    assert_eq!(taken.load(Ordering::Relaxed), 5);
    assert_eq!(link.stored(Channel::Tasks), 5);
    square_worker(&link);
    let first = results.next().await.unwrap().unwrap();
    let second = results.next().await.unwrap().unwrap();
    assert_eq!(taken.load(Ordering::Relaxed), 5, "nothing is committed");
    second.commit().await.unwrap();
    drop(first);
    results.next().await.unwrap().unwrap().commit().await.unwrap();
    _ = tokio::time::timeout(Duration::from_millis(1), results.next()).await;
    assert_eq!(taken.load(Ordering::Relaxed), 8, "three are committed");
}

#[tokio::test(start_paused = true)]
async fn failures_become_gaps_at_their_place() {
    let link = InProcess::new().max_message(2000);
    let worker = Worker::new(link.clone()).concurrency(3);
    let job = |task: Task<u64>| async move {
        let error = format!("{} in attempt {}", task.value, task.attempt());
        let after = Duration::from_secs(3);
        match task.value {
            1 => AttemptOutcome::Retry { error, after },
            2 => AttemptOutcome::Failed { error },
            3 if task.attempt() < 3 => AttemptOutcome::Retry { error, after },
            4 => panic!("{error}"),
            5 => AttemptOutcome::Done(vec![0; 3000]),
            _ => AttemptOutcome::Done(vec![task.index() as u8]),
        }
    };
    tokio::spawn(worker.run(job));
    let opened = owner(&link).attempts(3).open().await.unwrap();
    let items = [0, 1, 2, 3, 4, 5, 6].into_iter();
    let mut results = opened.map(items, |n: u64| n).results::<Vec<u8>>();
    let mut outcomes = Vec::new();
    while let Some(delivery) = results.next().await.unwrap() {
        delivery.commit().await.unwrap();
        outcomes.push(delivery.outcome);
    }
    let failed = |attempts, error: &str| Err(Gap::Failed { attempts, error: error.into() });
    assert_eq!(outcomes[0], Ok(vec![0]));
    assert_eq!(outcomes[1], failed(3, "1 in attempt 3"));
    assert_eq!(outcomes[2], failed(1, "2 in attempt 1"));
    assert_eq!(outcomes[3], Ok(vec![3]));
    assert_eq!(outcomes[4], failed(3, "the job panicked: 4 in attempt 3"));
    let Err(Gap::ResultTooLarge { given, allowed }) = outcomes[5] else {
        panic!("{:?}", outcomes[5])
    };
    assert!(given > 3000 && allowed < 2000);
    assert_eq!(outcomes[6], Ok(vec![6]));
    assert_eq!((outcomes.len(), results.stats().gaps), (7, 4));
}

/// The payload of a panic whose drop panics with another one.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(Fragile));
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_a_panic_that_panics_does_not_end_its_worker() {
    let link = InProcess::new();
    let job = |task: Task<u64>| async move {
        if task.value == 1 {
            std::panic::resume_unwind(Box::new(Fragile));
        }
        square(task).await
    };
    let worker = tokio::spawn(Worker::new(link.clone()).run(job));
    let opened = owner(&link).attempts(2).open().await.unwrap();
    let outcomes = tokio::time::timeout(Duration::from_secs(100), squares(opened, 3)).await;
    let error = "the job panicked: no message".to_owned();
    let expected = [Ok(0), Err(Gap::Failed { attempts: 2, error }), Ok(4)];
    assert_eq!(outcomes.expect("the worker lives").unwrap(), expected);
    assert!(!worker.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_too_large_is_a_gap_that_says_so() {
    let link = InProcess::new().max_message(1000);
    let worker = Worker::new(link.clone());
    let job = |task: Task<String>| async move { Ok::<_, String>(task.value.len()) };
    tokio::spawn(worker.run(job));
    let opened = owner(&link).open().await.unwrap();
    let mut results = opened.map([10, 10_000, 20], |n| "x".repeat(n)).results::<usize>();
    let mut outcomes = Vec::new();
    while let Some(delivery) = results.next().await.unwrap() {
        delivery.commit().await.unwrap();
        outcomes.push(delivery.outcome);
    }
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(10), &Ok(20)));
    let Err(Gap::TaskTooLarge { given: 10_002, allowed }) = outcomes[1] else {
        panic!("{:?}", outcomes[1])
    };
    assert!(allowed < 1000);
}

#[tokio::test(start_paused = true)]
async fn values_of_another_type_are_gaps() {
    let link = InProcess::new();
    let worker = Worker::new(link.clone());
    let job = |task: Task<u8>| async move { Ok::<_, String>(u64::from(task.value) + 1000) };
    tokio::spawn(worker.run(job));
    let opened = owner(&link).open().await.unwrap();
    // The second task has two bytes, and the result of the first one is no `bool`.
    let mut results = opened.map([1u16, 300], |n| n).results::<bool>();
    let first = results.next().await.unwrap().unwrap().outcome;
    assert!(matches!(first, Err(Gap::Payload { .. })), "{first:?}");
    let second = results.next().await.unwrap().unwrap().outcome;
    assert!(matches!(second, Err(Gap::Failed { attempts: 1, .. })), "{second:?}");
}

#[tokio::test]
async fn blocking_jobs_run_on_threads() {
    let link = InProcess::new();
    let (sender, stop) = oneshot::channel::<()>();
    let worker = Worker::new(link.clone()).concurrency(2).until(async { drop(stop.await) });
    let threads = Arc::new(std::sync::Mutex::new(HashSet::new()));
    let seen = Arc::clone(&threads);
    let worker = tokio::spawn(worker.run_blocking(move |task: Task<u64>| {
        seen.lock().unwrap().insert(std::thread::current().id());
        assert_ne!(task.value, 7, "an item that panics");
        Ok::<_, String>(task.value * task.value)
    }));
    let opened = owner(&link).lease(Duration::from_millis(50)).attempts(2).open().await.unwrap();
    let outcomes = squares(opened, 10).await.unwrap();
    let expected = expected(0..10);
    assert_eq!((&outcomes[..7], &outcomes[8..]), (&expected[..7], &expected[8..]));
    assert!(matches!(outcomes[7], Err(Gap::Failed { attempts: 2, .. })));
    assert!(!threads.lock().unwrap().contains(&std::thread::current().id()));
    drop(sender);
    let stats = worker.await.unwrap();
    assert_eq!((stats.started, stats.done, stats.failed), (11, 9, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_ends_its_jobs_and_returns_the_others() {
    let link = InProcess::new();
    let (sender, stop) = oneshot::channel::<()>();
    let worker = Worker::new(link.clone()).until(async { drop(stop.await) });
    let worker = tokio::spawn(worker.run(|task: Task<u64>| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, String>(task.value * task.value)
    }));
    let opened = owner(&link).window(16).items_per_message(4).open().await.unwrap();
    let job = tokio::spawn(squares(opened, 8));
    tokio::time::sleep(Duration::from_secs(7)).await;
    drop(sender);
    let stats = worker.await.unwrap();
    assert_eq!((stats.started, stats.done), (2, 2), "the second one ends");
    square_worker(&link);
    let start = tokio::time::Instant::now();
    assert_eq!(job.await.unwrap().unwrap(), expected(0..8));
    assert!(start.elapsed() < Duration::from_secs(5), "the others need not time out");
}

#[tokio::test(start_paused = true)]
async fn dropped_results_close_their_deliveries() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).open().await.unwrap();
    let mut results = opened.map(0..3u64, |n| n).results::<u64>();
    let delivery = results.next().await.unwrap().unwrap();
    drop(results);
    assert!(matches!(delivery.commit().await, Err(OwnerError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_panics_before_its_future_is_a_gap() {
    let link = InProcess::new();
    tokio::spawn(Worker::new(link.clone()).run(|task: Task<u64>| {
        assert_ne!(task.value, 1, "no future");
        square(task)
    }));
    let opened = owner(&link).attempts(2).open().await.unwrap();
    let outcomes = tokio::time::timeout(Duration::from_secs(100), squares(opened, 3)).await;
    let outcomes = outcomes.expect("the worker lives").unwrap();
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(0), &Ok(4)));
    let Err(Gap::Failed { attempts: 2, error }) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(error.starts_with("the job panicked: ") && error.contains("no future"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_run_any_number_of_jobs_at_once() {
    let link = InProcess::new();
    tokio::spawn(Worker::new(link.clone()).concurrency(usize::MAX).run(square));
    let opened = owner(&link).open().await.unwrap();
    let outcomes = tokio::time::timeout(Duration::from_secs(100), squares(opened, 20)).await;
    assert_eq!(outcomes.expect("the worker takes tasks").unwrap(), expected(0..20));
}

#[tokio::test(start_paused = true)]
async fn a_link_accepts_every_time() {
    for wait in [Duration::MAX, Duration::ZERO] {
        let faults = Faults { delay: 0.5, longest_delay: Duration::MAX, ..Faults::default() };
        let link = InProcess::new().acknowledgement_wait(wait);
        let worker = Worker::new(link.clone()).heartbeat(wait).concurrency(usize::MAX);
        tokio::spawn(worker.run(square));
        let opened = owner(&link).ask_again_after(Duration::MAX).open().await.unwrap();
        let outcomes = tokio::time::timeout(Duration::from_secs(100), squares(opened, 9)).await;
        assert_eq!(outcomes.expect("the link delivers").unwrap(), expected(0..9));
        link.set_faults(faults);
        for number in 0..9 {
            let id = MessageId { sender: 1, number };
            link.publish(Channel::Results, id, Bytes::new()).await.unwrap();
        }
        link.set_faults(Faults::default());
        let messages = link.receive(Channel::Results, 9).await.unwrap();
        assert!(!messages.is_empty());
        for message in messages {
            let again = Acknowledgement::Again(Duration::MAX);
            link.acknowledge(&message.receipt, again).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_moves_no_item() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).open().await.unwrap();
    let source = (0..6u64).inspect(|n| assert_ne!(*n, 2, "the source fails"));
    let results = Arc::new(Mutex::new(opened.map(source, |n| n).results::<u64>()));
    let shared = Arc::clone(&results);
    let next = tokio::spawn(async move { shared.lock().await.next().await.map(|_| ()) });
    assert!(next.await.is_err_and(|error| error.is_panic()));
    let next = results.lock().await.next().await;
    assert!(matches!(next, Err(OwnerError::Closed)), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_each_worker_are_counted() {
    let link = InProcess::new();
    let opened = owner(&link).window(8).open().await.unwrap();
    let mut results = opened.map(0..16u64, |n| n).results::<u64>();
    // No worker runs. The engine forgets the first tasks, so the owner asks for them again.
    assert!(tokio::time::timeout(Duration::from_secs(1), results.next()).await.is_err());
    link.forget();
    link.set_faults(Faults { double: 0.5, ..Faults::default() });
    for number in [7, 9] {
        tokio::spawn(Worker::new(link.clone()).number(number).run(square));
    }
    while let Some(delivery) = results.next().await.unwrap() {
        delivery.commit().await.unwrap();
    }
    let (stats, answers) = (results.stats(), results.answers());
    assert_eq!(answers.keys().copied().collect::<Vec<_>>(), [7, 9]);
    let sum = |of: fn(&AnswerStats) -> u64| answers.values().map(of).sum::<u64>();
    assert!(answers.values().all(|answers| answers.accepted > 0 && answers.refused.total() > 0));
    assert_eq!((sum(|answers| answers.accepted), sum(|answers| answers.repeated)), (16, 8));
    assert_eq!(sum(|answers| answers.refused.total()), stats.refused.total());
    assert_eq!(sum(|answers| answers.redelivered), stats.redelivered);
}

#[tokio::test(start_paused = true)]
async fn a_result_of_a_slow_worker_is_counted_or_refused() {
    // The heartbeat is longer than the wait, so the other worker gets the task as well.
    let link = InProcess::new().acknowledgement_wait(Duration::from_secs(2));
    let runs = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let (worker, runs) = (Worker::new(link.clone()), Arc::clone(&runs));
        let slow = move |task: Task<u64>| {
            runs.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                square(task).await
            }
        };
        tokio::spawn(worker.run(slow));
    }
    let opened = owner(&link).open().await.unwrap();
    let mut results = opened.map(0..4u64, |n| n).results::<u64>();
    for index in 0..4 {
        let delivery = results.next().await.unwrap().unwrap();
        assert_eq!((delivery.index, &delivery.outcome), (index, &Ok(index * index)));
        if index < 3 {
            delivery.commit().await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (stats, runs) = (results.stats(), runs.load(Ordering::Relaxed));
    assert!(runs > 4, "no task ran twice");
    assert_eq!(stats.accepted, 4);
    assert_eq!(stats.refused.total(), u64::from(runs) - 4, "{stats:?}");
}
