//! How an executor ends, and what is left of it then.

use std::time::Duration;

use crate::executor::Executor;
use crate::observe::trace;
use crate::primitive::now;
use crate::scheduler::{Remaining, is_inside, is_worker_of};
use crate::unwind::discard;

/// What [`Executor::shutdown`](crate::Executor::shutdown) does about calls that are open, and has an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Their items are all run.
    Drain,
    /// Items that have not started are not run any more. Their outcome is
    /// [`Failure::ShutDown`](crate::Failure::ShutDown) in calls made by [`Executor::batch`](crate::Executor::batch);
    /// calls without limits go on, on the threads of their callers and consumers alone. Jobs that run are told by
    /// [`Job::should_stop`](crate::Job::should_stop), and waited for; what they return counts where their caller
    /// waits for them, and is refused where the consumer of a stream has given them up. Futures are dropped.
    Abort,
}

/// What [`Executor::shutdown`](crate::Executor::shutdown) left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may not be complete"]
pub struct ShutdownReport {
    left: Remaining,
}

impl ShutdownReport {
    pub(crate) fn new(left: Remaining) -> ShutdownReport {
        ShutdownReport { left }
    }

    /// Whether all workers have ended; after [`Shutdown::Drain`] alone, all calls were through before.
    pub fn is_complete(&self) -> bool {
        self.left.workers == 0
    }

    /// How many calls had items that had not run.
    pub fn open_calls(&self) -> usize {
        self.left.calls
    }

    /// How many workers had not ended: those at a job or a source, and, as long as calls are drained, all of
    /// them.
    pub fn workers(&self) -> usize {
        self.left.workers
    }
}

impl Executor {
    /// Ends the executor in good order, from any thread, and says what was left when it returned.
    ///
    /// From its start on no call is taken in that only the workers would run:
    /// [`BatchBuilder::submit`](crate::BatchBuilder::submit) and
    /// [`BatchBuilder::stream`](crate::BatchBuilder::stream) say so. Calls that their caller can run alone are run so.
    /// Of a batch that its caller runs alone it knows nothing.
    /// [`Shutdown`] says what becomes of the calls that are open. It waits until they and the workers are through,
    /// for `within` at the most if that is given. Inside of a job of this executor it waits for nothing: it would
    /// wait for itself. It may be called again, also with another mode.
    ///
    /// An executor that was shut down waits for nobody any more when it is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use reorder_executor::{Executor, Shutdown};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let batch = executor.batch(0..1000).submit(|n, _| Ok::<_, ()>(n * 2))?;
    /// let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(60)));
    /// assert!(report.is_complete());
    /// assert_eq!(batch.wait().into_values().unwrap().len(), 1000);
    /// assert!(executor.batch([1]).submit(|n, _| Ok::<_, ()>(n)).is_err());
    /// assert_eq!(executor.map([1], |n| n + 1), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking, as said. With [`Shutdown::Drain`] a stream whose window is full is waited for until somebody
    /// takes its outcomes or drops it: give `within` where nobody might.
    pub fn shutdown(&self, mode: Shutdown, within: Option<Duration>) -> ShutdownReport {
        let within = if self.would_wait_for_itself() { Some(Duration::ZERO) } else { within };
        // A time beyond what the clock can tell is none.
        let deadline = within.and_then(|within| now().checked_add(within));
        self.scheduler().close();
        if mode == Shutdown::Abort {
            self.abort();
        } else {
            // Without workers, since somebody aborted, what is left waits for its consumer.
            let is_drained = |left: Remaining| left.calls == 0 || left.workers == 0;
            if is_drained(self.scheduler().wait_for(is_drained, deadline)) {
                self.scheduler().stop();
            }
        }
        let left = self.scheduler().wait_for(|left| left.workers == 0, deadline);
        trace::shut_down(left.calls, left.workers);
        ShutdownReport::new(left)
    }

    /// Whether this thread is inside a job, or a worker that drops the last of a call. It cannot wait for itself, and
    /// must not wait for others: one may be waiting for this very job.
    fn would_wait_for_itself(&self) -> bool {
        is_inside(self.scheduler()) || is_worker_of(self.scheduler())
    }

    fn abort(&self) {
        self.shutdown_token().cancel();
        self.scheduler().stop();
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let was_shut_down = self.scheduler().is_closed();
        self.abort();
        if was_shut_down || self.would_wait_for_itself() {
            return;
        }
        for worker in self.workers.drain(..) {
            if let Err(payload) = worker.join() {
                discard(payload);
            }
        }
    }
}
