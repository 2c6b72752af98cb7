//! Blocking calls in tasks of a tokio runtime, whose only thread the futures of requests need.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::{executor, with_timeout};
use reorder_executor::Shutdown;
use reorder_requests::{AttemptOutcome, RequestsExt};
use tokio::runtime::{Builder, Handle, Runtime};

fn runtimes() -> [Runtime; 2] {
    let multi = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    [multi, Builder::new_current_thread().build().unwrap()]
}

fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(call()))).expect_err("the call panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().unwrap().to_string(),
    }
}

async fn yields(n: u64) -> AttemptOutcome<u64, ()> {
    tokio::task::yield_now().await;
    AttemptOutcome::Done(n)
}

#[test]
fn a_call_that_would_block_a_task_panics() {
    with_timeout(|| {
        for runtime in runtimes() {
            let executor = executor(1);
            let told = runtime.block_on(async {
                let requests = || executor.batch(0..3_u64).requests();
                let here = Handle::current;
                let handle = requests().submit_async(here(), |n, _| yields(*n)).unwrap();
                let mut stream = requests().stream_async(here(), |n, _| yields(*n)).unwrap();
                [
                    panic_of(|| handle.wait()),
                    panic_of(|| stream.next()),
                    panic_of(|| executor.shutdown(Shutdown::Drain, None)),
                ]
            });
            told.iter().for_each(|told| assert!(told.contains("runtime"), "{told}"));
        }
    });
}

#[test]
fn a_call_blocks_where_the_runtime_allows_it() {
    with_timeout(|| {
        for runtime in runtimes() {
            let here = runtime.handle().clone();
            runtime.block_on(async move {
                let blocking = move || {
                    let executor = executor(1);
                    let requests = || executor.batch(0..3_u64).requests();
                    let handle = requests().submit_async(here.clone(), |n, _| yields(*n)).unwrap();
                    assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);
                    let stream = requests().stream_async(here, |n, _| yields(*n)).unwrap();
                    assert_eq!(stream.filter(Result::is_ok).count(), 3);
                };
                tokio::task::spawn_blocking(blocking).await.unwrap();
            });
        }
    });
}
