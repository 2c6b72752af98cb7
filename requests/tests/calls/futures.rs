//! Helpers for the tests of requests whose jobs are futures.

use std::pin::Pin;
use std::time::Duration;

use reorder_executor::{Executor, Spawn};
use reorder_requests::{AttemptOutcome, Requests, RequestsExt, Retry};
use tokio::runtime::{Builder, Runtime};

use crate::common::LiveCounter;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

pub(crate) fn spawner(runtime: &Runtime) -> impl Spawn + Send + Sync + use<> {
    let handle = runtime.handle().clone();
    move |task: Task| _ = handle.spawn(task)
}

pub(crate) fn requests<I>(executor: &Executor, items: I) -> Requests<'_, I> {
    executor.batch(items).requests().retry(Retry::new().within(10 * HOUR).wait(MS, MS))
}

/// Returns a future that never completes. `live` counts it until it is dropped.
pub(crate) fn endless(live: &LiveCounter) -> impl Future<Output = AttemptOutcome<u64, ()>> + use<> {
    let tracked = live.track(0);
    async move {
        // The block has to own all of it, and not a copy of its value.
        let tracked = tracked;
        std::future::pending::<()>().await;
        AttemptOutcome::Done(tracked.value)
    }
}
