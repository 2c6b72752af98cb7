//! A worker: it runs the tasks of all owners of a job.

mod drive;

use std::future::{self, Future};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reorder_ring::TicketBits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::link::Link;
use crate::machine::{Job, WorkerConfig};
use crate::stats::WorkerStats;
use crate::task::{self, AttemptOutcome, Task};
use crate::wire::Outcome;

/// The longest and the shortest time between heartbeats.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(1);

/// A worker of a job. It takes tasks from the engine, and stores their results there.
///
/// The results of a task are stored before the task is acknowledged. If the worker dies, another
/// worker gets its tasks.
///
/// It runs in the task that awaits [`run`](Worker::run), and starts a task of the current tokio
/// runtime for each job.
#[must_use = "a worker does nothing before it runs"]
pub struct Worker<L> {
    link: L,
    config: WorkerConfig,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<L> std::fmt::Debug for Worker<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<L: Link> Worker<L> {
    /// Returns a worker that runs one job at a time, until it is dropped.
    pub fn new(link: L) -> Worker<L> {
        let config = WorkerConfig {
            concurrency: 1,
            heartbeat: Duration::from_secs(10),
            deliveries: 5,
            max_message: link.max_message(),
            instance: 0,
            number: None,
        };
        Worker { link, config, stop: Box::pin(future::pending()) }
    }

    /// Sets the number of jobs that run at once, at least 1. The default is 1.
    pub fn concurrency(mut self, jobs: usize) -> Worker<L> {
        self.config.concurrency = jobs.max(1);
        self
    }

    /// Sets the time between heartbeats, from 1 ms to a day. The default is 10 seconds.
    ///
    /// A heartbeat tells the engine that the worker still has its messages. It must be half of the
    /// time after which the engine delivers a message again, or shorter.
    pub fn heartbeat(mut self, interval: Duration) -> Worker<L> {
        self.config.heartbeat = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// Sets the number of deliveries of a message after which its tasks do not run any more, at
    /// least 1. The default is 5.
    ///
    /// A task that kills its workers comes back after each death. After this number, the next
    /// worker reports that the attempt has failed. The engine must not give up earlier.
    pub fn deliveries(mut self, deliveries: u64) -> Worker<L> {
        self.config.deliveries = deliveries.max(1);
        self
    }

    /// Sets the number by which the owner counts the results of this worker. The default is a
    /// random number.
    ///
    /// [`Results::answers`](crate::Results::answers) returns what the owner has counted.
    pub fn number(mut self, number: u64) -> Worker<L> {
        self.config.number = Some(number);
        self
    }

    /// Stops the worker when the future ends, such as at a signal.
    ///
    /// Jobs that run then end first, and their results are stored. Other tasks go back to the
    /// engine at once.
    ///
    /// ```
    /// use reorder_remote::{InProcess, Task, Worker};
    /// use tokio::sync::oneshot;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (stop, stopped) = oneshot::channel::<()>();
    /// let worker = Worker::new(InProcess::new()).until(async { drop(stopped.await) });
    /// let worker = tokio::spawn(worker.run(|task: Task<u8>| async move {
    ///     task.value.checked_add(1).ok_or("the number is too large")
    /// }));
    /// drop(stop);
    /// assert_eq!(worker.await?.started, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Worker<L> {
        self.stop = Box::pin(stop);
        self
    }

    /// Runs jobs that are futures, until the worker is stopped.
    ///
    /// A panic of a job is the failure of its attempt. A task whose bytes are not a `T` fails for
    /// ever.
    ///
    /// If the link fails, the worker tries again.
    ///
    /// # Progress
    ///
    /// It ends only after the future of [`until`](Worker::until). Then it waits for its running
    /// jobs, and until the engine has stored their results. If it is dropped, its tasks come again
    /// after the engine's acknowledgement wait.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn run<T, R, O, F>(self, job: impl Fn(Task<T>) -> F) -> WorkerStats
    where
        T: DeserializeOwned + Send + 'static,
        R: Serialize,
        O: Into<AttemptOutcome<R>>,
        F: Future<Output = O> + Send + 'static,
    {
        let start = |jobs: &mut tokio::task::JoinSet<Outcome>, task: Job| {
            // `job` need not be `Send`, so it makes the future here. The task has its panic.
            let future = catch_unwind(AssertUnwindSafe(|| read(&task).map(&job)));
            jobs.spawn(async move {
                match future {
                    Ok(Ok(future)) => write(future.await.into()),
                    Ok(Err(error)) => Outcome::Failed { error },
                    Err(panic) => resume_unwind(panic),
                }
            })
        };
        self.run_by(start).await
    }

    /// Runs jobs that block, on the threads that tokio has for them, until the worker is stopped.
    ///
    /// Otherwise it is as [`run`](Worker::run).
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn run_blocking<T, R, O>(
        self,
        job: impl Fn(Task<T>) -> O + Send + Sync + 'static,
    ) -> WorkerStats
    where
        T: DeserializeOwned,
        R: Serialize,
        O: Into<AttemptOutcome<R>>,
    {
        let job = Arc::new(job);
        let start = |jobs: &mut tokio::task::JoinSet<Outcome>, task: Job| {
            let job = Arc::clone(&job);
            jobs.spawn_blocking(move || match read(&task) {
                Ok(task) => write(job(task).into()),
                Err(error) => Outcome::Failed { error },
            })
        };
        self.run_by(start).await
    }
}

/// Returns the task of a job, or the text of the error.
fn read<T: DeserializeOwned>(job: &Job) -> Result<Task<T>, String> {
    let value = task::decode(&job.payload)
        .map_err(|error| format!("the task cannot be converted: {error}"))?;
    let bits = u128::from(u64::from(job.ring)) << 64 | u128::from(job.position);
    Ok(Task { value, ticket: TicketBits::from(bits), attempt: job.attempt })
}

/// Returns the outcome as it goes to the owner.
fn write<R: Serialize>(outcome: AttemptOutcome<R>) -> Outcome {
    match outcome {
        AttemptOutcome::Done(value) => match task::encode(&value) {
            Ok(bytes) => Outcome::Done(bytes),
            Err(error) => {
                Outcome::Failed { error: format!("the result cannot be converted: {error}") }
            }
        },
        AttemptOutcome::Retry { error, after } => Outcome::Retry { error, after },
        AttemptOutcome::Failed { error } => Outcome::Failed { error },
    }
}
