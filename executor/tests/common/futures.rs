//! What the tests of requests that are futures use.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::time::Duration;

use reorder_executor::{AttemptOutcome, Executor, Requests, Retry, Spawn};
use tokio::runtime::{Builder, Runtime};

use crate::common::Census;

pub const HOUR: Duration = Duration::from_secs(60 * 60);
pub const MS: Duration = Duration::from_millis(1);

pub type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

pub fn spawner(runtime: &Runtime) -> impl Spawn + Send + Sync + use<> {
    let handle = runtime.handle().clone();
    move |task: Task| _ = handle.spawn(task)
}

pub fn requests<I>(executor: &Executor, items: I) -> Requests<'_, I> {
    executor.batch(items).requests().retry(Retry::new().within(10 * HOUR).wait(MS, MS))
}

/// A future that never ends, and is seen to be dropped.
pub fn endless(census: &Census) -> impl Future<Output = AttemptOutcome<u64, ()>> + use<> {
    let member = census.join(0);
    async move {
        std::future::pending::<()>().await;
        AttemptOutcome::Done(member.value)
    }
}
