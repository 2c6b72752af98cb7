//! Blocking calls in tasks of a tokio runtime, whose only thread the jobs need.

use std::io::{ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::{Block, Executor, Job, OrderedReader, OrderedWriter, Shutdown, frames_of};
use tokio::runtime::{Builder, Runtime};

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

#[test]
fn a_call_that_would_block_a_task_panics() {
    with_timeout(|| {
        for runtime in runtimes() {
            // A consumer that helps would run an item, and wait with it.
            let executor = Executor::builder().workers(1).consumer_helps(false).build().unwrap();
            let told = runtime.block_on(async {
                let go_on = Latch::default();
                let waits = go_on.clone();
                let job = move |n: u64, _: &Job<'_>| {
                    waits.wait();
                    Ok::<_, ()>(n)
                };
                let handle = executor.batch(0..3).submit(job.clone()).unwrap();
                let mut stream = executor.batch(0..3).stream(job).unwrap();
                let told = [
                    panic_of(|| handle.wait()),
                    panic_of(|| stream.next()),
                    panic_of(|| executor.shutdown(Shutdown::Drain, None)),
                ];
                go_on.open();
                told
            });
            told.iter().for_each(|told| assert!(told.contains("runtime"), "{told}"));
        }
    });
}

#[test]
fn a_writer_that_would_block_a_task_ends_and_does_not_blame_the_sink() {
    with_timeout(|| {
        for runtime in runtimes() {
            let executor = executor(1);
            let (started, go_on) = (Latch::default(), Latch::default());
            let (starts, goes_on) = (started.clone(), go_on.clone());
            let encode = move |_: &Block<'_>, _: &mut Vec<u8>| {
                starts.open();
                goes_on.wait();
                Ok(())
            };
            let builder = OrderedWriter::builder(1).window(1);
            let mut writer = builder.build(&executor, Vec::new(), encode);
            writer.write_all(b"ab").unwrap();
            started.wait();
            // The worker encodes the first block, for which the call would wait.
            let told = runtime.block_on(async { panic_of(|| writer.flush()) });
            let error = writer.flush().unwrap_err();
            assert!(told.contains("runtime"), "{told}");
            assert_eq!(error.kind(), ErrorKind::Other);
            let text = "the writer has failed before: the wait for an encoder panicked";
            assert_eq!(error.to_string(), text);
            go_on.open();
        }
    });
}

#[test]
fn a_reader_that_would_block_a_task_loses_nothing() {
    with_timeout(|| {
        for runtime in runtimes() {
            let executor = executor(1);
            let (started, go_on) = (Latch::default(), Latch::default());
            let (starts, goes_on) = (started.clone(), go_on.clone());
            let decode = move |frame: &reorder_executor::Frame<'_>, out: &mut Vec<u8>| {
                starts.open();
                goes_on.wait();
                out.extend_from_slice(frame);
                Ok(())
            };
            let mut reader = OrderedReader::new(&executor, &b"abc"[..], frames_of(1), decode);
            started.wait();
            let told = runtime.block_on(async { panic_of(|| reader.read(&mut [0])) });
            assert!(told.contains("runtime"), "{told}");
            go_on.open();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, b"abc");
        }
    });
}

#[test]
fn a_call_blocks_where_the_runtime_allows_it() {
    with_timeout(|| {
        for runtime in runtimes() {
            runtime.block_on(async move {
                let blocking = move || {
                    let executor = executor(1);
                    let job = |n: u64, _: &Job<'_>| Ok::<_, ()>(n);
                    let handle = executor.batch(0..3).submit(job).unwrap();
                    assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);
                    let stream = executor.batch(0..3).stream(job).unwrap();
                    assert_eq!(stream.filter(Result::is_ok).count(), 3);
                };
                tokio::task::spawn_blocking(blocking).await.unwrap();
            });
        }
        // The thread knows the runtime, and is none of its threads.
        let [runtime, _] = runtimes();
        let _entered = runtime.enter();
        let executor = executor(1);
        let handle = executor.batch(0..3).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);
        assert_eq!(executor.stream(0..3, |n| n).count(), 3);
    });
}

#[test]
fn an_executor_that_is_dropped_in_a_task_waits_for_no_job() {
    with_timeout(|| {
        for runtime in runtimes() {
            let (started, go_on) = (Latch::default(), Latch::default());
            let (starts, goes_on) = (started.clone(), go_on.clone());
            runtime.block_on(async move {
                let executor = executor(1);
                let job = move |n, _: &reorder_executor::Job<'_>| {
                    starts.open();
                    goes_on.wait();
                    Ok::<_, ()>(n)
                };
                let handle = executor.batch([1]).submit(job).unwrap();
                started.wait();
                // The task that lets the job go on runs after the drop, on the same thread.
                let later = tokio::spawn(async move { go_on.open() });
                drop(executor);
                later.await.unwrap();
                assert_eq!(handle.await.outcomes().len(), 1);
            });
        }
        // Elsewhere, the drop waits.
        let executor = executor(1);
        let (started, ended) = (Latch::default(), Latch::default());
        let (starts, ends) = (started.clone(), ended.clone());
        let handle = executor.batch([1]).submit(move |n, _| {
            starts.open();
            thread::yield_now();
            ends.open();
            Ok::<_, ()>(n)
        });
        started.wait();
        drop(executor);
        ended.wait();
        drop(handle);
    });
}
