//! Owners that follow each other, and owners that meet.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{TestLink, expected, owner, square_worker, squares};
use reorder_remote::{Channel, Faults, InProcess, Owner, OwnerError};
use tokio::time::{sleep, timeout};

#[tokio::test(start_paused = true)]
async fn the_next_owner_goes_on_after_the_last_commit() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).open().await.unwrap();
    assert_eq!((opened.first(), opened.epoch()), (0, 1));
    let mut results = opened.map(0..10u64, |n| n).results::<u64>();
    for _ in 0..4 {
        results.next().await.unwrap().unwrap().commit().await.unwrap();
    }
    // The fifth one is delivered, and not committed.
    _ = results.next().await.unwrap().unwrap();
    drop(results);

    let opened = owner(&link).open().await.unwrap();
    assert_eq!((opened.first(), opened.epoch()), (4, 2));
    assert_eq!(squares(opened, 10).await.unwrap(), expected(4..10));
    // The third owner finds nothing to do.
    let opened = owner(&link).open().await.unwrap();
    assert_eq!((opened.first(), opened.epoch()), (10, 3));
    assert_eq!(squares(opened, 10).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn results_that_wait_for_the_next_owner_do_not_run_again() {
    let link = InProcess::new().acknowledgement_wait(Duration::from_secs(1));
    let opened = owner(&link).open().await.unwrap();
    let mut results = opened.map(0..8u64, |n| n).results::<u64>();
    // The first owner dies after it has asked, and before any result.
    assert!(timeout(Duration::from_millis(10), results.next()).await.is_err());
    drop(results);
    square_worker(&link);
    sleep(Duration::from_secs(2)).await;

    let opened = owner(&link).open().await.unwrap();
    let mut results = opened.map(0..8u64, |n| n).results::<u64>();
    for index in 0..8 {
        let delivery = results.next().await.unwrap().unwrap();
        assert_eq!((delivery.index, &delivery.outcome), (index, &Ok(index * index)));
        delivery.commit().await.unwrap();
    }
    let stats = results.stats();
    assert_eq!((stats.asked, stats.asked_again, stats.refused.total()), (0, 0, 0), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn the_watermark_of_the_sink_counts() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).resume_from(3).open().await.unwrap();
    assert_eq!(opened.first(), 3);
    assert_eq!(squares(opened, 6).await.unwrap(), expected(3..6));
    // The sink has lost some items.
    let opened = owner(&link).resume_from(2).open().await.unwrap();
    assert_eq!(squares(opened, 6).await.unwrap(), expected(2..6));
}

#[tokio::test(start_paused = true)]
async fn an_older_owner_is_fenced_and_its_sink_stays_untouched() {
    let link = InProcess::new();
    square_worker(&link);
    let older = owner(&link).window(8).open().await.unwrap();
    let mut older = older.map(0..100u64, |n| n).results::<u64>();
    let mut sink = Vec::new();
    for _ in 0..5 {
        let delivery = older.next().await.unwrap().unwrap();
        sink.push(delivery.index);
        delivery.commit().await.unwrap();
    }
    let newer = owner(&link).window(8).open().await.unwrap();
    assert_eq!((newer.first(), newer.epoch()), (5, 2));
    let mut newer = newer.map(5..100u64, |n| n).results::<u64>();
    let delivery = newer.next().await.unwrap().unwrap();
    assert_eq!(delivery.index, 5);
    // The older owner has results, and must not deliver them.
    let fenced = older.next().await;
    assert!(matches!(fenced, Err(OwnerError::Fenced { epoch: 2 })), "{fenced:?}");
    assert_eq!(sink, [0, 1, 2, 3, 4]);
    delivery.commit().await.unwrap();
    while let Some(delivery) = newer.next().await.unwrap() {
        assert_eq!(delivery.outcome, Ok(delivery.index * delivery.index));
        delivery.commit().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_a_fenced_owner_cannot_be_committed() {
    let link = InProcess::new();
    square_worker(&link);
    let older = owner(&link).open().await.unwrap();
    let mut older = older.map(0..9u64, |n| n).results::<u64>();
    let delivery = older.next().await.unwrap().unwrap();
    let newer = owner(&link).open().await.unwrap();
    let committed = delivery.commit().await;
    assert!(matches!(committed, Err(OwnerError::Fenced { epoch: 2 })), "{committed:?}");
    assert_eq!(squares(newer, 9).await.unwrap(), expected(0..9));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_owner_gives_its_messages_back_once() {
    let link = InProcess::new();
    square_worker(&link);
    let test_link = TestLink::new(&link);
    let acknowledgements = Arc::clone(&test_link.acknowledgements);
    let older = Owner::builder(test_link).lease(Duration::from_millis(500)).open().await.unwrap();
    let mut older = older.map(0..9u64, |n| n).results::<u64>();
    _ = older.next().await.unwrap().unwrap();
    // The newer owner dies at once, so only the older one receives what it gives back.
    drop(owner(&link).open().await.unwrap());
    sleep(Duration::from_secs(5)).await;
    assert!(matches!(older.next().await, Err(OwnerError::Fenced { epoch: 2 })));
    assert_eq!(acknowledgements.load(Ordering::Relaxed), 9);
    assert_eq!(link.stored(Channel::Results), 9);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_forgets_everything_delays_a_job_and_loses_nothing() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).window(8).open().await.unwrap();
    let job = tokio::spawn(squares(opened, 200));
    for _ in 0..5 {
        sleep(Duration::from_millis(700)).await;
        link.forget();
    }
    assert_eq!(job.await.unwrap().unwrap(), expected(0..200));
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_once_loses_nothing() {
    let faults = Faults {
        lose: 0.1,
        fail: 0.1,
        double: 0.1,
        delay: 0.2,
        longest_delay: Duration::from_secs(5),
        swap: 0.2,
        truncate: 0.05,
        forge: 0.1,
    };
    for seed in 0..5 {
        let link = InProcess::with_faults(faults, seed);
        square_worker(&link);
        square_worker(&link);
        let opened = loop {
            match owner(&link).window(16).items_per_message(3).attempts(1000).open().await {
                Ok(opened) => break opened,
                Err(error) => assert!(matches!(error, OwnerError::Link(_)), "{error}"),
            }
        };
        assert_eq!(squares(opened, 100).await.unwrap(), expected(0..100));
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_store_the_record_is_an_error_of_open() {
    let read_only = TestLink { is_read_only: true, ..TestLink::new(&InProcess::new()) };
    let opened = timeout(Duration::from_secs(100), Owner::builder(read_only).open()).await;
    assert!(matches!(opened, Ok(Err(OwnerError::Link(_)))), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_with_the_shortest_lease_delivers() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).lease(Duration::ZERO).open().await.unwrap();
    let outcomes = timeout(Duration::from_secs(100), squares(opened, 9)).await;
    assert_eq!(outcomes.expect("the owner delivers").unwrap(), expected(0..9));
}

#[tokio::test(start_paused = true)]
async fn impossible_settings_do_not_fence_the_older_owner() {
    let link = InProcess::new();
    square_worker(&link);
    let opened = owner(&link).open().await.unwrap();
    let job = tokio::spawn(squares(opened, 100));
    let no_window = owner(&link).window(0).open().await;
    assert!(matches!(no_window, Err(OwnerError::Window(_))), "{no_window:?}");
    for first in [(1 << 60) + 1, 1 << 61, u64::MAX] {
        let beyond = owner(&link).resume_from(first).open().await;
        assert!(matches!(beyond, Err(OwnerError::Window(_))), "{beyond:?}");
    }
    assert_eq!(job.await.unwrap().unwrap(), expected(0..100));
    let last = owner(&link).resume_from(1 << 60).open().await.unwrap();
    assert_eq!((last.first(), last.epoch()), (1 << 60, 2));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_an_error_of_open() {
    let link = InProcess::with_faults(Faults { fail: 1.0, ..Faults::default() }, 1);
    let opened = owner(&link).open().await;
    assert!(matches!(opened, Err(OwnerError::Link(_))), "{opened:?}");
    let window = owner(&InProcess::new()).window(0).open().await;
    assert!(matches!(window, Err(OwnerError::Window(_))), "{window:?}");
}

#[test]
fn a_runtime_ends_while_an_owner_and_a_worker_run() {
    let (end, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..300 {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_time()
                .build()
                .unwrap();
            let link = InProcess::new();
            let opened = runtime.block_on(async {
                square_worker(&link);
                owner(&link).open().await.unwrap()
            });
            let results = opened.map(0..8u64, |n| n).results::<u64>();
            // The runtime ends only if all its tasks wait, at the latest after some steps.
            drop(runtime);
            drop(results);
        }
        end.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(300)).unwrap();
}
