//! An owner and workers.

use std::time::Duration;

use reorder_remote::{NatsLink, Owner, Task, Worker};
use tokio::time::timeout_at;

use crate::meter::{Meter, Usage};
use crate::{AnyError, Case};

const LEASE: Duration = Duration::from_millis(500);

/// Runs a job for a while. The owner and each worker have a connection of their own.
pub(crate) async fn run(case: Case, url: &str) -> Result<Usage, AnyError> {
    let connect = || NatsLink::builder("remote_cost").connect(url);
    let link = connect().await?;
    let mut links = Vec::new();
    for _ in 0..case.workers {
        links.push(connect().await?);
    }
    let meter = Meter::start(case);
    let workers: Vec<_> = links
        .into_iter()
        .map(|link| {
            let meter = meter.clone();
            let job = move |task: Task<u64>| Ok::<_, String>(meter.run(task.value));
            tokio::spawn(Worker::new(link).run_blocking(job))
        })
        .collect();
    let owner = Owner::builder(link.clone())
        .window(case.window)
        .items_per_message(case.items_per_message)
        .lease(LEASE)
        .resume_from(0);
    let mut results = owner.open().await?.map(0u64.., |item| item).results::<u64>();
    let deliver = async {
        let mut next = 0;
        loop {
            let delivery = results.next().await?.ok_or("the source has no end")?;
            if delivery.outcome != Ok(next) {
                return Err::<(), AnyError>("an item is not at its place".into());
            }
            delivery.commit().await?;
            next += 1;
        }
    };
    if let Ok(error) = timeout_at(meter.end().into(), deliver).await {
        error?;
    }
    // The last jobs end.
    tokio::time::sleep(2 * case.job).await;
    workers.iter().for_each(|worker| worker.abort());
    drop(results);
    link.remove().await?;
    Ok(meter.usage())
}
