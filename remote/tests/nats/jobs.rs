//! Whole jobs over a server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reorder_remote::{NatsLink, Owner, OwnerBuilder, OwnerError, Task, Worker, WorkerStats};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::server::Servers;

fn owner(link: &NatsLink) -> OwnerBuilder<NatsLink> {
    let lease = Duration::from_secs(1);
    Owner::builder(link.clone()).window(32).lease(lease).ask_again_after(Duration::from_secs(3))
}

async fn square(task: Task<u64>) -> Result<u64, String> {
    // Neighbours end in another order.
    sleep(Duration::from_millis(1 + task.value * 37 % 20)).await;
    match task.value {
        13 => Err("unlucky".to_owned()),
        value => Ok(value * value),
    }
}

fn square_worker(link: &NatsLink) -> JoinHandle<WorkerStats> {
    let heartbeat = Duration::from_millis(300);
    tokio::spawn(Worker::new(link.clone()).concurrency(4).heartbeat(heartbeat).run(square))
}

/// Delivers the squares of the numbers below `items`, and checks each of them.
async fn deliver(owner: Owner<NatsLink>, items: u64, count: &AtomicU64) -> Result<(), OwnerError> {
    let mut next = owner.first();
    let mut results = owner.map(next..items, |n| n).results::<u64>();
    while let Some(delivery) = results.next().await? {
        assert_eq!(delivery.index, next);
        match delivery.outcome {
            Ok(value) => assert_eq!(value, next * next),
            Err(_) => assert_eq!(next, 13),
        }
        delivery.commit().await?;
        next += 1;
        // ORDERING: the count comes with no other data.
        count.store(next, Ordering::Relaxed);
    }
    assert_eq!(next, items);
    Ok(())
}

#[tokio::test]
async fn results_arrive_in_order_and_a_gap_is_at_its_place() {
    let Some(servers) = Servers::start(1) else { return };
    let workers = [servers.link("job").await, servers.link("job").await];
    let workers = workers.map(|link| square_worker(&link));
    let link = servers.link("job").await;
    let opened = owner(&link).items_per_message(4).attempts(2).open().await.unwrap();
    deliver(opened, 200, &AtomicU64::new(0)).await.unwrap();
    workers.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_job_survives_servers_that_are_killed_and_lose_their_storage() {
    let Some(mut servers) = Servers::start(1) else { return };
    let workers = [servers.link("job").await, servers.link("job").await];
    let workers = workers.map(|link| square_worker(&link));
    let link = servers.link("job").await;
    let opened = owner(&link).attempts(50).resume_from(0).open().await.unwrap();
    let count = std::sync::Arc::new(AtomicU64::new(0));
    let job = tokio::spawn({
        let count = count.clone();
        async move { deliver(opened, 300, &count).await }
    });
    for (limit, loses_storage) in [(50, false), (120, true), (200, true)] {
        // ORDERING: the count comes with no other data.
        while count.load(Ordering::Relaxed) < limit {
            sleep(Duration::from_millis(20)).await;
        }
        match loses_storage {
            true => servers.restart_without_storage(0),
            false => {
                servers.kill(0);
                servers.restart(0);
            }
        }
    }
    job.await.unwrap().unwrap();
    workers.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_newer_owner_fences_an_older_one() {
    let Some(servers) = Servers::start(1) else { return };
    let worker = square_worker(&servers.link("job").await);
    let (first, second) = (servers.link("job").await, servers.link("job").await);
    let older = owner(&first).open().await.unwrap();
    let mut older = older.map(0..100u64, |n| n).results::<u64>();
    for _ in 0..5 {
        older.next().await.unwrap().unwrap().commit().await.unwrap();
    }
    let newer = owner(&second).open().await.unwrap();
    assert_eq!((newer.first(), newer.epoch()), (5, 2));
    let end = loop {
        match older.next().await {
            Ok(delivery) => drop(delivery),
            Err(end) => break end,
        }
    };
    assert!(matches!(end, OwnerError::Fenced { epoch: 2 }), "{end}");
    deliver(newer, 100, &AtomicU64::new(0)).await.unwrap();
    worker.abort();
}
