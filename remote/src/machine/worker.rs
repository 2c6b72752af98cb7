//! The worker: runs tasks, stores their results, and only then acknowledges the tasks.
//!
//! ```text
//!   received ──▶ waiting ──▶ running ──▶ finished ──▶ publishing ──▶ confirmed
//!                                                                      │ all tasks of the message
//!       the engine keeps the message, and each heartbeat               ▼
//!       tells it that the worker still has it                     acknowledged
//! ```
//!
//! * If the worker dies before the acknowledgement, the engine delivers the message again. Then the
//!   tasks run once more, and the owner refuses the second results.
//! * The results of a message go to the owner together. At each heartbeat, the worker sends the
//!   results that are there.
//! * A message that was delivered too often may contain a task that kills its workers. The worker
//!   does not run it, and reports each of its tasks as failed. The owner then asks for each task in
//!   a message of its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reorder_ring::RingId;

use crate::link::{Acknowledgement, LinkError, Message, MessageId};
use crate::machine::StoredId;
use crate::stats::WorkerStats;
use crate::wire::{Outcome, ResultItem, Results, ResultsWriter, Tasks, largest_value};

/// The time before the worker publishes results again that the engine did not confirm.
const PUBLISH_AGAIN: Duration = Duration::from_millis(500);
/// The time for which a message stays away that the worker cannot read.
const PUT_BACK: Duration = Duration::from_secs(5);
/// The most bytes of the text of an error. The rest is cut off.
const LONGEST_ERROR: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) concurrency: usize,
    pub(crate) heartbeat: Duration,
    /// The number of deliveries of a message after which its tasks count as failed.
    pub(crate) deliveries: u64,
    pub(crate) max_message: usize,
    /// A number that no other worker has.
    pub(crate) instance: u64,
    /// The number by which the owner counts the results, or `None` for `instance`.
    pub(crate) number: Option<u64>,
}

/// Names a job of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId {
    message: StoredId,
    item: usize,
}

/// A task that is to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) ring: RingId,
    pub(crate) position: u64,
    pub(crate) attempt: u32,
    pub(crate) payload: Bytes,
}

/// An action that the driver performs for the worker.
#[derive(Debug)]
pub(crate) enum WorkerAction<R> {
    /// Runs a job, and reports its end by `finished`.
    Start(Job),
    /// Publishes results, and reports the end by `published`.
    Publish {
        number: u64,
        id: MessageId,
        body: Bytes,
    },
    Acknowledge {
        receipt: R,
        with: Acknowledgement,
    },
}

/// A message whose results are not all stored.
struct Taken<R> {
    receipt: R,
    /// The position and the attempt of each task.
    tasks: Vec<(u64, u32)>,
    /// The number of tasks without an outcome.
    unfinished: usize,
    /// The outcomes that are not published yet.
    finished: Vec<ResultItem>,
    /// The number of messages of results that the engine has not confirmed.
    publishing: usize,
    /// Says that some tasks did not run, since the worker stops.
    returned: bool,
}

struct Publishing {
    message: StoredId,
    body: Bytes,
}

pub(crate) struct Worker<R> {
    config: Config,
    taken: BTreeMap<StoredId, Taken<R>>,
    waiting: VecDeque<Job>,
    running: usize,
    /// The number of tasks in the last message.
    items_per_message: usize,
    publishing: BTreeMap<u64, Publishing>,
    retries: VecDeque<(Instant, u64)>,
    next_number: u64,
    heartbeat_at: Option<Instant>,
    actions: VecDeque<WorkerAction<R>>,
    stopping: bool,
    stats: WorkerStats,
}

impl<R: Clone> Worker<R> {
    pub(crate) fn new(config: Config) -> Worker<R> {
        Worker {
            config,
            taken: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: 0,
            items_per_message: 1,
            publishing: BTreeMap::new(),
            retries: VecDeque::new(),
            next_number: 0,
            heartbeat_at: None,
            actions: VecDeque::new(),
            stopping: false,
            stats: WorkerStats::default(),
        }
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        self.stats
    }

    /// Returns the number of messages that the driver may receive now.
    ///
    /// It is enough for every free place, and for one message more. While the engine does not
    /// confirm results, the worker takes no more tasks than four times its places.
    pub(crate) fn wanted(&self) -> usize {
        let is_behind = self.taken.len() > self.config.concurrency.saturating_mul(4);
        if self.stopping || is_behind || !self.waiting.is_empty() {
            return 0;
        }
        let free = self.config.concurrency - self.running;
        free.saturating_add(1).div_ceil(self.items_per_message)
    }

    /// Takes a message of the channel of tasks.
    pub(crate) fn received(&mut self, now: Instant, message: Message<R>) {
        let Message { sequence, deliveries, body, receipt } = message;
        if self.stopping {
            return self.acknowledge(receipt, Acknowledgement::Again(Duration::ZERO));
        }
        let Ok(tasks) = Tasks::decode(&body) else {
            self.stats.unreadable += 1;
            let with = match deliveries < self.config.deliveries {
                true => Acknowledgement::Again(PUT_BACK),
                false => Acknowledgement::Refused,
            };
            return self.acknowledge(receipt, with);
        };
        let id = StoredId { sequence, ring: tasks.ring, checksum: tasks.checksum };
        if let Some(taken) = self.taken.get_mut(&id) {
            taken.receipt = receipt;
            self.stats.redelivered += 1;
            return;
        }
        self.items_per_message = tasks.items.len();
        self.heartbeat_at.get_or_insert(now + self.config.heartbeat);
        let taken = Taken {
            receipt,
            tasks: tasks.items.iter().map(|task| (task.position, task.attempt)).collect(),
            unfinished: tasks.items.len(),
            finished: Vec::new(),
            publishing: 0,
            returned: false,
        };
        self.taken.insert(id, taken);
        let is_dead = deliveries > self.config.deliveries;
        for (item, task) in tasks.items.into_iter().enumerate() {
            let id = JobId { message: id, item };
            if is_dead {
                self.stats.dead_lettered += 1;
                let error = format!("{} workers got the task, and none answered", deliveries - 1);
                self.note_outcome(id, Outcome::Retry { error, after: Duration::ZERO });
            } else {
                let (ring, position, attempt) = (tasks.ring, task.position, task.attempt);
                self.waiting.push_back(Job { id, ring, position, attempt, payload: task.payload });
            }
        }
    }

    /// Notes the end of a job.
    pub(crate) fn finished(&mut self, id: JobId, outcome: Outcome) {
        self.running -= 1;
        match outcome {
            Outcome::Done(_) => self.stats.done += 1,
            _ => self.stats.failed += 1,
        }
        self.note_outcome(id, outcome);
    }

    fn note_outcome(&mut self, id: JobId, outcome: Outcome) {
        let allowed = largest_value(self.config.max_message);
        let outcome = match outcome {
            Outcome::Done(value) if value.len() > allowed => {
                Outcome::TooLarge { given: value.len() as u64, allowed: allowed as u64 }
            }
            Outcome::Retry { error, after } => Outcome::Retry { error: cut(error, allowed), after },
            Outcome::Failed { error } => Outcome::Failed { error: cut(error, allowed) },
            fits => fits,
        };
        let Some(taken) = self.taken.get_mut(&id.message) else { return };
        let (position, attempt) = taken.tasks[id.item];
        taken.finished.push(ResultItem { position, attempt, outcome });
        taken.unfinished -= 1;
        if taken.unfinished == 0 {
            self.publish_results(id.message);
        }
    }

    /// Publishes the outcomes of a message that are there.
    fn publish_results(&mut self, id: StoredId) {
        let Some(taken) = self.taken.get_mut(&id) else { return };
        let mut items = core::mem::take(&mut taken.finished).into_iter().peekable();
        while items.peek().is_some() {
            let worker = self.config.number.unwrap_or(self.config.instance);
            let mut writer = ResultsWriter::new(id.ring, worker);
            let mut is_empty = true;
            while let Some(item) = items
                .next_if(|item| is_empty || writer.has_room(&item.outcome, self.config.max_message))
            {
                writer.push(&item);
                is_empty = false;
            }
            taken.publishing += 1;
            let (number, body) = (self.next_number, writer.finish());
            self.next_number += 1;
            self.publishing.insert(number, Publishing { message: id, body: body.clone() });
            self.actions.push_back(publish(self.config.instance, number, body));
        }
    }

    /// Notes the end of a publication.
    pub(crate) fn published(&mut self, now: Instant, number: u64, result: Result<(), LinkError>) {
        match result {
            Ok(()) => {
                let Some(done) = self.publishing.remove(&number) else { return };
                if let Some(taken) = self.taken.get_mut(&done.message) {
                    taken.publishing -= 1;
                }
                self.acknowledge_if_stored(done.message);
            }
            Err(LinkError::TooLarge { given, allowed }) => {
                self.replace_too_large(number, given, allowed);
            }
            Err(LinkError::Unavailable(_)) => {
                self.retries.push_back((now + PUBLISH_AGAIN, number));
            }
        }
    }

    /// Publishes results again, one by one, that the engine refuses together. A single result that
    /// it refuses becomes a failure.
    fn replace_too_large(&mut self, number: u64, given: usize, allowed: usize) {
        let Some(refused) = self.publishing.remove(&number) else { return };
        let Ok(mut results) = Results::decode(&refused.body) else { return };
        if let [item] = &mut results.items[..] {
            // The owner knows the size of the value. A smaller message does not exist.
            item.outcome = Outcome::TooLarge { given: given as u64, allowed: allowed as u64 };
        }
        let Some(taken) = self.taken.get_mut(&refused.message) else { return };
        taken.publishing -= 1;
        for item in results.items {
            if let Some(taken) = self.taken.get_mut(&refused.message) {
                taken.finished.push(item);
            }
            self.publish_results(refused.message);
        }
    }

    fn acknowledge_if_stored(&mut self, id: StoredId) {
        let is_stored = |taken: &Taken<R>| {
            taken.unfinished == 0 && taken.publishing == 0 && taken.finished.is_empty()
        };
        if self.taken.get(&id).is_some_and(is_stored) {
            if let Some(taken) = self.taken.remove(&id) {
                let with = match taken.returned {
                    false => Acknowledgement::Done,
                    true => Acknowledgement::Again(Duration::ZERO),
                };
                self.acknowledge(taken.receipt, with);
            }
        }
    }

    /// Takes no more tasks. Tasks that do not run yet go back to the engine.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        for job in core::mem::take(&mut self.waiting) {
            let id = job.id.message;
            let Some(taken) = self.taken.get_mut(&id) else { continue };
            taken.returned = true;
            taken.unfinished -= 1;
            if taken.unfinished == 0 {
                self.publish_results(id);
                self.acknowledge_if_stored(id);
            }
        }
    }

    /// Returns `true` if the worker was stopped, and has stored all its results.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopping && self.taken.is_empty() && self.actions.is_empty()
    }

    /// Returns the next action, or `None` until the [`deadline`](Worker::deadline) or an event.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<WorkerAction<R>> {
        if self.heartbeat_at.is_some_and(|at| at <= now) {
            self.beat(now);
        }
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if let Some(&(_, number)) = self.retries.front().filter(|(at, _)| *at <= now) {
            self.retries.pop_front();
            if let Some(publishing) = self.publishing.get(&number) {
                return Some(publish(self.config.instance, number, publishing.body.clone()));
            }
        }
        if self.running < self.config.concurrency {
            let job = self.waiting.pop_front()?;
            self.running += 1;
            self.stats.started += 1;
            return Some(WorkerAction::Start(job));
        }
        None
    }

    /// Tells the engine that the worker still has its messages. Sends the results that are there.
    fn beat(&mut self, now: Instant) {
        self.heartbeat_at = (!self.taken.is_empty()).then_some(now + self.config.heartbeat);
        for taken in self.taken.values() {
            let (receipt, with) = (taken.receipt.clone(), Acknowledgement::Progress);
            self.actions.push_back(WorkerAction::Acknowledge { receipt, with });
        }
        let partly =
            |(id, taken): (&StoredId, &Taken<R>)| (!taken.finished.is_empty()).then_some(*id);
        for id in self.taken.iter().filter_map(partly).collect::<Vec<_>>() {
            self.publish_results(id);
        }
    }

    /// Returns the instant at which the driver polls next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let retry = self.retries.front().map(|&(at, _)| at);
        retry.into_iter().chain(self.heartbeat_at).min()
    }

    fn acknowledge(&mut self, receipt: R, with: Acknowledgement) {
        self.actions.push_back(WorkerAction::Acknowledge { receipt, with });
    }
}

fn publish<R>(sender: u64, number: u64, body: Bytes) -> WorkerAction<R> {
    WorkerAction::Publish { number, id: MessageId { sender, number }, body }
}

/// Returns the beginning of the text of an error, which fits into a message.
fn cut(mut error: String, allowed: usize) -> String {
    let limit = LONGEST_ERROR.min(allowed);
    let end = (0..=limit.min(error.len())).rev().find(|&end| error.is_char_boundary(end));
    error.truncate(end.unwrap_or(0));
    error
}
