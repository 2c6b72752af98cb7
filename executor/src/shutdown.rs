//! Ends an executor.

use std::time::Duration;

use crate::executor::Executor;
use crate::observe::trace;
use crate::primitive::now;
use crate::scheduler::{Remaining, is_inside, is_worker_of, park};
use crate::unwind::discard;

/// The fate of open calls in [`Executor::shutdown`](crate::Executor::shutdown), which has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// All items of open calls are run. A [queue](crate::Executor::queue) is open until its last
    /// sender was dropped and its places are completed.
    Drain,
    /// Items and attempts that have started are finished, and their results count. No further one
    /// is started, and no item has another attempt.
    ///
    /// In calls made by [`Executor::batch`](crate::Executor::batch), the outcome of each other item
    /// is [`Failure::ShutDown`](crate::Failure::ShutDown), with its last error. Calls without
    /// limits go on, on the threads of their callers and consumers alone.
    ///
    /// The shutdown waits for the jobs that run on workers, and for futures.
    /// [`Job::should_stop`](crate::Job::should_stop) does not tell them to stop. A
    /// [dispatcher](crate::dispatch) ends a future that takes too long only while another thread
    /// waits for the outcomes of its batch. Otherwise, pass `within` if a future may never end.
    FinishRunning,
    /// Items that have not started are not run. In calls made by
    /// [`Executor::batch`](crate::Executor::batch) their outcome is
    /// [`Failure::ShutDown`](crate::Failure::ShutDown). Calls without limits go on, on the threads
    /// of their callers and consumers alone.
    ///
    /// [`Job::should_stop`](crate::Job::should_stop) tells running jobs to stop. The shutdown waits
    /// for them. Their results count in `run`, and are refused in streams and submitted batches,
    /// whose consumers give up on them. Futures are dropped.
    Abort,
}

/// The calls and workers that were left when [`Executor::shutdown`](crate::Executor::shutdown)
/// returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may not be complete"]
pub struct ShutdownReport {
    left: Remaining,
}

impl ShutdownReport {
    /// Returns `true` if all workers have ended, or are blocked inside a source.
    ///
    /// If [`Shutdown::Drain`] was the only mode used, all calls had finished before.
    pub fn is_complete(&self) -> bool {
        self.left.workers == 0 && self.left.in_flight == 0
    }

    /// Returns the number of calls with items that had not run.
    pub fn open_calls(&self) -> usize {
        self.left.calls
    }

    /// Returns the number of workers that had not ended: those at a job and, while calls are
    /// drained, all workers. A worker that is blocked inside a source does not count.
    pub fn workers(&self) -> usize {
        self.left.workers
    }
}

impl Executor {
    /// Ends the executor, from any thread, and reports the remaining calls and workers.
    ///
    /// The executor accepts no more calls that only workers would run. So
    /// [`BatchBuilder::submit`](crate::BatchBuilder::submit),
    /// [`BatchBuilder::stream`](crate::BatchBuilder::stream) and
    /// [`QueueBuilder::build`](crate::QueueBuilder::build) return an error. A call that its caller
    /// can run alone is run by its caller, and does not count as open. [`Shutdown`] says what
    /// happens to open calls.
    ///
    /// The call waits until the open calls and the workers have finished, or until `within` has
    /// passed. In a job of this executor it does not wait, because it would wait for itself. It may
    /// be called again, also with another mode.
    ///
    /// Dropping an executor that was shut down waits for nothing.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// use reorder_executor::{Executor, Shutdown};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let batch = executor.batch(0..1000).submit(|n, _| Ok::<_, Infallible>(n * 2))?;
    /// let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(60)));
    /// assert!(report.is_complete());
    /// assert_eq!(batch.wait().into_values().unwrap().len(), 1000);
    /// assert!(executor.batch([1]).submit(|n, _| Ok::<_, Infallible>(n)).is_err());
    /// assert_eq!(executor.map([1], |n| n + 1), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// With the feature `tokio`, in a task of a tokio runtime if `within` is `None`.
    ///
    /// # Progress
    ///
    /// Blocking. A task of an async runtime should pass `within`, or call this where the runtime
    /// allows blocking, because jobs may need the runtime's threads. With [`Shutdown::Drain`] it
    /// waits for a stream whose window is full, until the consumer takes outcomes or drops the
    /// stream. It also waits for the senders of queues. Pass `within` if a consumer or a sender may
    /// never act.
    pub fn shutdown(&self, mode: Shutdown, within: Option<Duration>) -> ShutdownReport {
        let within = if self.would_wait_for_itself() { Some(Duration::ZERO) } else { within };
        if within.is_none() {
            park::assert_may_block();
        }
        // An instant that the clock cannot represent is no deadline.
        let deadline = within.and_then(|within| now().checked_add(within));
        self.scheduler.look_for_fork();
        self.scheduler.close();
        match mode {
            Shutdown::Abort => self.abort(),
            Shutdown::FinishRunning => {
                self.closing.cancel();
                self.scheduler.stop();
            }
            Shutdown::Drain => {
                // After an abort there are no workers, and open calls wait for their consumers.
                let is_drained = |left: Remaining| left.calls == 0 || left.workers == 0;
                if is_drained(self.scheduler.wait_for(is_drained, deadline)) {
                    self.scheduler.stop();
                }
            }
        }
        let waits_for_futures = mode == Shutdown::FinishRunning;
        let has_ended =
            |left: Remaining| left.workers == 0 && (left.in_flight == 0 || !waits_for_futures);
        let mut left = self.scheduler.wait_for(has_ended, deadline);
        if !waits_for_futures {
            left.in_flight = 0;
        }
        trace::shut_down(left.calls, left.workers);
        ShutdownReport { left }
    }

    /// Returns `true` if this thread runs a job, or is a worker that drops the last reference to a
    /// call.
    ///
    /// Such a thread cannot wait for itself. It must not wait for other threads either, because one
    /// of them may be waiting for this job.
    fn would_wait_for_itself(&self) -> bool {
        is_inside(&self.scheduler) || is_worker_of(&self.scheduler)
    }

    fn abort(&self) {
        self.shutdown.cancel();
        self.scheduler.stop();
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.scheduler.look_for_fork();
        let was_shut_down = self.scheduler.is_closed();
        self.abort();
        if was_shut_down || self.would_wait_for_itself() || park::is_in_runtime() {
            return;
        }
        // Not for a thread that is blocked inside a source: it may stay there for ever.
        self.scheduler.wait_for(|left| left.workers == 0, None);
        self.scheduler.monitor.end();
        for worker in self.scheduler.threads.take_ended() {
            if let Err(payload) = worker.join() {
                discard(payload);
            }
        }
    }
}
