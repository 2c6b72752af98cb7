//! The task of one item.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::outcome::Failure;
use crate::spawned::running::Running;
use crate::unwind::catch_panic;

/// The task of one item. If it is dropped before it is ready, its place is left as a gap.
pub(super) struct Job<F: Future> {
    /// Pinned with the job. `None` once it has ended.
    future: Option<F>,
    index: u64,
    running: Arc<Running<F::Output>>,
}

impl<F: Future> Job<F> {
    /// Returns the job of the item at `index`. The table already has the permit of the item.
    pub(super) fn new(future: F, index: u64, running: Arc<Running<F::Output>>) -> Job<F> {
        Job { future: Some(future), index, running }
    }

    fn future(self: Pin<&mut Self>) -> Pin<&mut Option<F>> {
        // SAFETY: `future` is pinned structurally. It is not moved out, and `Job` is `Unpin` only
        // if it is. The `Drop` of `Job` does not move it.
        unsafe { self.map_unchecked_mut(|job| &mut job.future) }
    }

    /// Drops the future in its place. A panic of its `Drop` is caught.
    fn drop_future(self: Pin<&mut Self>) {
        catch_panic(|| self.future().set(None));
    }
}

impl<F: Future> Future for Job<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.future.is_none() {
            return Poll::Ready(());
        }
        let (index, running) = (self.index, Arc::clone(&self.running));
        if running.register(index, cx.waker()) {
            self.as_mut().drop_future();
            running.lose(index);
            return Poll::Ready(());
        }
        let poll = AssertUnwindSafe(|| {
            let _span = running.span.enter();
            let future = self.as_mut().future().as_pin_mut();
            future.expect("the future has not ended").poll(cx)
        });
        let outcome = match catch_unwind(poll) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(Failure::panicked(payload)),
        };
        // First: a consumer that has the outcome finds the future dropped.
        self.drop_future();
        running.complete(index, outcome);
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Job<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            // SAFETY: the job is not moved from here to its end, whether it was pinned before or
            // not.
            unsafe { Pin::new_unchecked(&mut *self) }.drop_future();
            self.running.lose(self.index);
        }
    }
}
