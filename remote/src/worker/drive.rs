//! The loop that performs the actions of a worker's state machine.

use std::any::Any;
use std::collections::HashMap;
use std::future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time;

use crate::link::{Channel, Link, LinkError, Message};
use crate::machine::{self, Job, JobId, WorkerAction};
use crate::stats::WorkerStats;
use crate::wire::Outcome;
use crate::worker::Worker;

/// The time before the worker receives again after an error.
const RECEIVE_AGAIN: Duration = Duration::from_millis(200);

/// The end of an operation of the link.
enum Done<R> {
    Published(u64, Result<(), LinkError>),
    Acknowledged,
    Received(Result<Vec<Message<R>>, LinkError>),
}

struct Runner<L: Link> {
    link: Arc<L>,
    worker: machine::Worker<L::Receipt>,
    operations: JoinSet<Done<L::Receipt>>,
    jobs: JoinSet<Outcome>,
    ids: HashMap<Id, JobId>,
    receiver: Option<AbortHandle>,
}

impl<L: Link> Worker<L> {
    /// Runs the worker. `start` starts a job.
    pub(super) async fn run_by(
        self,
        start: impl Fn(&mut JoinSet<Outcome>, Job) -> AbortHandle,
    ) -> WorkerStats {
        let Worker { link, mut config, mut stop } = self;
        // Without an identity, the process has made 2^47 rings.
        config.instance = machine::new_identity().expect("an identity is left").into();
        let mut runner = Runner {
            link: Arc::new(link),
            worker: machine::Worker::new(config),
            operations: JoinSet::new(),
            jobs: JoinSet::new(),
            ids: HashMap::new(),
            receiver: None,
        };
        let mut is_stopping = false;
        loop {
            runner.perform(&start);
            if runner.worker.is_stopped() && runner.operations.is_empty() {
                return runner.worker.stats();
            }
            let timer = sleep_until(runner.worker.deadline());
            tokio::select! {
                Some(result) = runner.jobs.join_next_with_id() => runner.note_job(result),
                Some(result) = runner.operations.join_next() => runner.note(result),
                () = timer => {}
                () = &mut stop, if !is_stopping => {
                    is_stopping = true;
                    runner.stop();
                }
            }
        }
    }
}

impl<L: Link> Runner<L> {
    fn perform(&mut self, start: impl Fn(&mut JoinSet<Outcome>, Job) -> AbortHandle) {
        while let Some(action) = self.worker.poll(now()) {
            let link = Arc::clone(&self.link);
            match action {
                WorkerAction::Start(job) => {
                    let id = job.id;
                    let started = start(&mut self.jobs, job);
                    self.ids.insert(started.id(), id);
                }
                WorkerAction::Publish { number, id, body } => {
                    self.operations.spawn(async move {
                        Done::Published(number, link.publish(Channel::Results, id, body).await)
                    });
                }
                WorkerAction::Acknowledge { receipt, with } => {
                    self.operations.spawn(async move {
                        // If it fails, the message comes again.
                        _ = link.acknowledge(&receipt, with).await;
                        Done::Acknowledged
                    });
                }
            }
        }
        let most = self.worker.wanted();
        if most > 0 && self.receiver.is_none() {
            let link = Arc::clone(&self.link);
            self.receiver = Some(self.operations.spawn(async move {
                let received = link.receive(Channel::Tasks, most).await;
                if received.is_err() {
                    time::sleep(RECEIVE_AGAIN).await;
                }
                Done::Received(received)
            }));
        }
    }

    /// Notes the end of an operation.
    fn note(&mut self, result: Result<Done<L::Receipt>, JoinError>) {
        match result {
            Ok(Done::Published(number, result)) => self.worker.published(now(), number, result),
            Ok(Done::Received(received)) => {
                self.receiver = None;
                for message in received.into_iter().flatten() {
                    self.worker.received(now(), message);
                }
            }
            Ok(Done::Acknowledged) => {}
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The worker stops, and has stopped the receiver.
            Err(_) => self.receiver = None,
        }
    }

    fn note_job(&mut self, result: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match result {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                let id = error.id();
                let text = match error.try_into_panic() {
                    Ok(payload) => {
                        let text = format!("the job panicked: {}", message(&*payload));
                        discard(payload);
                        text
                    }
                    Err(_) => "the job was cancelled".to_owned(),
                };
                (id, Outcome::Retry { error: text, after: Duration::ZERO })
            }
        };
        if let Some(job) = self.ids.remove(&id) {
            self.worker.finished(job, outcome);
        }
    }

    fn stop(&mut self) {
        self.worker.stop();
        // A message that the receiver has just got comes again.
        if let Some(receiver) = &self.receiver {
            receiver.abort();
        }
    }
}

/// Returns the message of a panic.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Drops the payload of a panic, whose own `Drop` may panic. The payload of that panic is dropped
/// as well, and leaked if this panics, too.
fn discard(payload: Box<dyn Any + Send>) {
    let drop_caught = |payload| catch_unwind(AssertUnwindSafe(|| drop::<Box<_>>(payload)));
    if let Err(second) = drop_caught(payload) {
        drop_caught(second).unwrap_or_else(mem::forget);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}

/// Returns the time of the runtime, which a test may have paused.
fn now() -> Instant {
    time::Instant::now().into_std()
}
