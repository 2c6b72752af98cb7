//! The driver of the workers.

use std::time::{Duration, Instant};

use crate::in_process::Receipt;
use crate::link::{Acknowledgement, Channel};
use crate::machine::{Job, JobId, Worker, WorkerAction, WorkerConfig};
use crate::tests::simulation::reference::{self, Kind};
use crate::tests::simulation::world::{Event, Process, Reply, Request, World};
use crate::wire::Outcome;

pub(super) struct WorkerProcess {
    pub(super) worker: Worker<Receipt>,
    is_receiving: bool,
    wake_at: Option<Instant>,
}

impl World {
    pub(super) fn start_worker(&mut self) {
        let process = self.new_process();
        let plan = &self.plan;
        let worker = Worker::new(WorkerConfig {
            concurrency: plan.concurrency,
            heartbeat: plan.heartbeat,
            deliveries: 3,
            max_message: plan.max_message,
            instance: process,
            number: None,
        });
        let running = WorkerProcess { worker, is_receiving: false, wake_at: None };
        self.workers.insert(process, running);
        self.run_worker(process);
    }

    pub(super) fn kill_worker(&mut self, process: Process) {
        if self.workers.remove(&process).is_some() {
            let delay = Duration::from_millis(self.rng.u64(1..10_000));
            self.after(delay, Event::StartWorker);
        }
    }

    pub(super) fn stop_worker(&mut self, process: Process) {
        if let Some(running) = self.workers.get_mut(&process) {
            running.worker.stop();
            self.run_worker(process);
        }
    }

    pub(super) fn worker_replied(&mut self, process: Process, reply: Reply) {
        let Some(running) = self.workers.get_mut(&process) else { return };
        match reply {
            Reply::Published { number, result } => {
                running.worker.published(self.now, number, result);
            }
            Reply::Received(messages) => {
                running.is_receiving = false;
                for message in messages {
                    running.worker.received(self.now, message);
                }
            }
            Reply::Loaded(_) | Reply::Stored(_) => unreachable!("a worker has no record"),
        }
        self.run_worker(process);
    }

    /// Notes the end of a job. Without an outcome, the job has killed its worker.
    pub(super) fn job_ended(&mut self, process: Process, id: JobId, outcome: Option<Outcome>) {
        let Some(running) = self.workers.get_mut(&process) else { return };
        match outcome {
            Some(outcome) => {
                running.worker.finished(id, outcome);
                self.run_worker(process);
            }
            None => self.kill_worker(process),
        }
    }

    pub(super) fn run_worker(&mut self, process: Process) {
        let now = self.now;
        while let Some(running) = self.workers.get_mut(&process) {
            let Some(action) = running.worker.poll(now) else { break };
            match action {
                WorkerAction::Start(job) => self.start_job(process, &job),
                WorkerAction::Publish { number, id, body } => {
                    let channel = Channel::Results;
                    self.request(process, Request::Publish { channel, number, id, body });
                }
                WorkerAction::Acknowledge { receipt, with } => {
                    if with == Acknowledgement::Done {
                        self.check_task_acknowledgement(receipt);
                    }
                    self.request(process, Request::Acknowledge { receipt, with });
                }
            }
        }
        let Some(running) = self.workers.get_mut(&process) else { return };
        if running.worker.is_stopped() {
            self.workers.remove(&process);
            return self.after(Duration::from_millis(500), Event::StartWorker);
        }
        let wanted = running.worker.wanted();
        let starts = wanted > 0 && !running.is_receiving;
        running.is_receiving |= starts;
        if running.wake_at.is_some_and(|at| at <= now) {
            running.wake_at = None;
        }
        let earlier = |at: &Instant| running.wake_at.is_none_or(|old| *at < old);
        let deadline = running.worker.deadline().filter(earlier);
        running.wake_at = deadline.or(running.wake_at);
        if let Some(deadline) = deadline {
            self.after(deadline.saturating_duration_since(now), Event::Wake(process));
        }
        if starts {
            self.request(process, Request::Receive { channel: Channel::Tasks, most: wanted });
        }
    }

    fn start_job(&mut self, process: Process, job: &Job) {
        let longest = match self.plan.slow_jobs && self.rng.u8(..8) == 0 {
            true => 40_000,
            false => 200,
        };
        let duration = Duration::from_millis(self.rng.u64(1..longest));
        let index = match job.payload.first_chunk() {
            Some(index) => u64::from_le_bytes(*index),
            None => unreachable!("a task has its index"),
        };
        let error = || format!("item {index} fails");
        let done = Outcome::Done(reference::value(&self.plan, index));
        let outcome = match reference::kind(&self.plan, index) {
            Kind::KillsItsWorker => None,
            Kind::AlwaysFails => Some(Outcome::Retry { error: error(), after: Duration::ZERO }),
            Kind::FailsAtFirst(times) if job.attempt <= times => {
                let after = Duration::from_millis(self.rng.u64(..2_000));
                Some(Outcome::Retry { error: error(), after })
            }
            Kind::FailsForEver => Some(Outcome::Failed { error: error() }),
            _ => Some(done),
        };
        self.after(duration, Event::JobEnds(process, job.id, outcome));
    }
}
