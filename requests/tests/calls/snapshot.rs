//! Snapshots of requests: an attempt that no worker starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use crate::common::{Latch, executor, with_timeout};
use crate::futures::{HOUR, MS};
use reorder_executor::{Executor, Head, OpenCall};
use reorder_requests::{AttemptOutcome, RequestsExt, Retry};

/// Opens its latch when a test ends, so that a test that fails does not wait for its own jobs.
struct OpenOnDrop(Latch);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Takes snapshots until a call satisfies `is_so`, and returns that call.
fn until(executor: &Executor, is_so: impl Fn(&OpenCall) -> bool) -> OpenCall {
    loop {
        if let Some(call) = executor.snapshot().calls().iter().find(|call| is_so(call)) {
            return call.clone();
        }
        thread::yield_now();
    }
}

#[test]
fn a_retry_that_finds_no_free_worker_is_reported() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let (at_source, in_job) = (latch.clone(), latch.clone());
        let opened = OpenOnDrop(latch);
        let source = (0..2).inspect(move |&n| {
            if n == 1 {
                at_source.wait();
            }
        });
        let is_busy = Arc::new(AtomicBool::new(true));
        let answer = Arc::clone(&is_busy);
        let batch = executor.batch(source).requests().retry(Retry::new().within(HOUR));
        let stream = batch.stream(move |&n, _| match answer.load(SeqCst) {
            true => AttemptOutcome::<_, ()>::Retry { error: (), after: Some(MS) },
            false => AttemptOutcome::Done(n),
        });
        // The worker stays inside this source, and another thread takes its place.
        let is_blocked = |call: &OpenCall| {
            call.pulled() == 1 && executor.snapshot().workers().iter().any(|it| it.is_pulling())
        };
        until(&executor, is_blocked);
        // That thread stays in this job. On a busy machine, an attempt may be due before that.
        let job = executor.stream([()], move |()| in_job.wait());
        let snapshot = loop {
            let snapshot = executor.snapshot();
            let is_due = snapshot.calls().first().is_some_and(|it| it.due_for() >= Some(20 * MS));
            if is_due && snapshot.workers().iter().any(|worker| worker.call() == 2) {
                break snapshot;
            }
            thread::yield_now();
        };
        let due = &snapshot.calls()[0];
        assert_eq!((due.id(), due.head()), (1, &Head::Elsewhere));
        assert_eq!(due.stalled_for(), due.due_for());
        assert!(snapshot.stalled(20 * MS).any(|call| call.id() == 1), "{snapshot}");
        assert!(snapshot.to_string().contains("; an attempt has been due for "), "{snapshot}");
        assert_eq!(snapshot.workers().len(), 2, "{snapshot}");
        is_busy.store(false, SeqCst);
        drop(opened);
        assert!(stream.unwrap().map(Result::unwrap).eq(0..2));
        assert_eq!(job.count(), 1);
    });
}
