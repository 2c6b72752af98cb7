//! Helpers for the tests of requests whose jobs are futures.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::time::Duration;

use reorder_executor::{AttemptOutcome, Executor, Requests, Retry};

use crate::common::LiveCounter;

#[path = "tasks.rs"]
mod tasks;

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use tasks::{MS, Task, runtime, spawner};

pub const HOUR: Duration = Duration::from_secs(60 * 60);

pub fn requests<I>(executor: &Executor, items: I) -> Requests<'_, I> {
    executor.batch(items).requests().retry(Retry::new().within(10 * HOUR).wait(MS, MS))
}

/// Returns a future that never completes. `live` counts it until it is dropped.
pub fn endless(live: &LiveCounter) -> impl Future<Output = AttemptOutcome<u64, ()>> + use<> {
    let tracked = live.track(0);
    async move {
        // The block has to own all of it, and not a copy of its value.
        let tracked = tracked;
        std::future::pending::<()>().await;
        AttemptOutcome::Done(tracked.value)
    }
}
