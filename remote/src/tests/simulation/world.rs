//! The events of a run, the engine, and the sink.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use reorder_ring::RingId;

use crate::gap::Gap;
use crate::in_process::{Engine, Faults, Receipt};
use crate::link::{Acknowledgement, Channel, Entry, LinkError, Message, MessageId};
use crate::machine::{JobId, Step};
use crate::tests::simulation::owners::OwnerProcess;
use crate::tests::simulation::plan::Plan;
use crate::tests::simulation::reference;
use crate::tests::simulation::workers::WorkerProcess;
use crate::wire::{Outcome, ResultItem, Results, Tasks};

/// A process: an owner or a worker in one of its lives.
pub(super) type Process = u64;

/// A request of a process to the engine.
pub(super) enum Request {
    Publish { channel: Channel, number: u64, id: MessageId, body: Bytes },
    Receive { channel: Channel, most: usize },
    Acknowledge { receipt: Receipt, with: Acknowledgement },
    Load,
    Store { value: Bytes, expected: Option<u64> },
}

/// The answer of the engine.
pub(super) enum Reply {
    Published { number: u64, result: Result<(), LinkError> },
    Received(Vec<Message<Receipt>>),
    Loaded(Result<Option<Entry>, LinkError>),
    Stored(Result<Option<u64>, LinkError>),
}

pub(super) enum Event {
    /// A request reaches the engine. Its process may have died.
    Request(Process, Request),
    /// A reply reaches its process.
    Reply(Process, Reply),
    /// A job ends, or kills its worker.
    JobEnds(Process, JobId, Option<Outcome>),
    /// A timer of a process ends.
    Wake(Process),
    StartOwner,
    StartWorker,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) engine: Engine,
    pub(super) owners: BTreeMap<Process, OwnerProcess>,
    pub(super) workers: BTreeMap<Process, WorkerProcess>,
    next_process: Process,
    /// The events by number, and the instant of each.
    events: BTreeMap<u64, Event>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    next_event: u64,
    /// The outcomes that the sink has stored.
    pub(super) sink: Vec<Result<Bytes, Gap>>,
    /// The owner of the last delivery.
    deliverer: Option<Process>,
    /// The owners that another owner has followed. They must not deliver any more.
    retired: BTreeSet<Process>,
    is_closed: bool,
    /// The engine has lost its storage at least once.
    has_lost_all: bool,
    /// The positions of all results that workers have published.
    results: BTreeSet<(RingId, u64)>,
    /// The engine loses no message, and delivers only published messages.
    pub(super) is_honest: bool,
    /// The plan has no crash of the owner, and no second owner.
    has_one_owner: bool,
}

impl World {
    pub(super) fn new(plan: Plan) -> World {
        let mut engine = Engine::new(plan.faults, plan.seed);
        engine.set_acknowledgement_wait(plan.acknowledgement_wait);
        engine.max_message = plan.max_message;
        let mut world = World {
            rng: Rng::with_seed(!plan.seed),
            now: Instant::now(),
            engine,
            owners: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_process: 1,
            events: BTreeMap::new(),
            queue: BinaryHeap::new(),
            next_event: 0,
            sink: Vec::new(),
            deliverer: None,
            retired: BTreeSet::new(),
            is_closed: false,
            has_lost_all: false,
            results: BTreeSet::new(),
            is_honest: plan.is_honest(),
            has_one_owner: plan.owner_crashes + plan.owner_rivals == 0,
            plan,
        };
        world.after(Duration::ZERO, Event::StartOwner);
        for _ in 0..world.plan.workers {
            world.after(Duration::ZERO, Event::StartWorker);
        }
        world
    }

    /// Runs until all items are committed, and the owner has given back the lease.
    pub(super) fn run(mut self) {
        for count in 0.. {
            let Some(Reverse((at, number))) = self.queue.pop() else {
                panic!("nothing happens any more, and {} items are stored", self.sink.len());
            };
            let Some(event) = self.events.remove(&number) else { continue };
            self.now = at;
            self.handle(event);
            if self.is_closed {
                break;
            }
            if count < 20_000 {
                self.trouble();
            } else if count == 20_000 {
                self.engine.faults = Faults::default();
            }
            assert!(count < 300_000, "stalled: {} items are stored", self.sink.len());
        }
        assert_eq!(self.sink.len() as u64, self.plan.items);
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.queue.push(Reverse((self.now + delay, self.next_event)));
        self.events.insert(self.next_event, event);
        self.next_event += 1;
    }

    pub(super) fn new_process(&mut self) -> Process {
        self.next_process += 1;
        self.next_process - 1
    }

    pub(super) fn request(&mut self, process: Process, request: Request) {
        let delay = self.latency();
        self.after(delay, Event::Request(process, request));
    }

    fn latency(&mut self) -> Duration {
        let most = if self.plan.slow_network && self.rng.u8(..20) == 0 { 8_000 } else { 10 };
        Duration::from_millis(self.rng.u64(1..=most))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request(process, request) => self.perform(process, request),
            Event::Reply(process, reply) if self.owners.contains_key(&process) => {
                self.owner_replied(process, reply);
            }
            Event::Reply(process, reply) => self.worker_replied(process, reply),
            Event::JobEnds(process, id, outcome) => self.job_ended(process, id, outcome),
            Event::Wake(process) if self.owners.contains_key(&process) => self.run_owner(process),
            Event::Wake(process) => self.run_worker(process),
            Event::StartOwner => self.start_owner(),
            Event::StartWorker => self.start_worker(),
        }
    }

    /// Lets the engine perform a request, also of a process that has died since.
    fn perform(&mut self, process: Process, request: Request) {
        let reply = match request {
            Request::Publish { channel, number, id, body } => {
                if let Ok(results) = Results::decode(&body) {
                    let positions = results.items.iter().map(|item| item.position);
                    self.results.extend(positions.map(|position| (results.ring, position)));
                }
                let result = self.engine.publish(self.now, channel, id, body);
                Reply::Published { number, result }
            }
            Request::Receive { channel, most } => {
                let is_live =
                    self.owners.contains_key(&process) || self.workers.contains_key(&process);
                if !is_live {
                    return;
                }
                Reply::Received(self.engine.receive(self.now, channel, most))
            }
            Request::Acknowledge { receipt, with } => {
                self.engine.acknowledge(self.now, &receipt, with);
                return;
            }
            Request::Load => Reply::Loaded(self.engine.load()),
            Request::Store { value, expected } => Reply::Stored(self.engine.store(value, expected)),
        };
        let mut delay = self.latency();
        // The engine answers a request to receive at once, or after it has waited for a message.
        if matches!(&reply, Reply::Received(messages) if messages.is_empty()) {
            delay += Duration::from_millis(200);
        }
        self.after(delay, Event::Reply(process, reply));
    }

    /// Starts a crash, a pause, a second owner or a loss of storage. Each of them happens with a
    /// chance of 1 in 256, until the plan has no more of them.
    fn trouble(&mut self) {
        let plan = &mut self.plan;
        let mut some = |left: &mut u32| {
            let happens = *left > 0 && self.rng.u8(..) == 0;
            *left -= u32::from(happens);
            happens
        };
        let loss_of_all = some(&mut plan.losses_of_all);
        let owner_crash = some(&mut plan.owner_crashes);
        let owner_rival = some(&mut plan.owner_rivals);
        let owner_pause = some(&mut plan.owner_pauses);
        let worker_crash = some(&mut plan.worker_crashes);
        let worker_stop = some(&mut plan.worker_stops);
        if loss_of_all {
            self.engine.forget();
            self.has_lost_all = true;
        }
        if owner_crash {
            if let Some(process) = self.any(self.owners.keys().copied().collect()) {
                self.kill_owner(process);
            }
        }
        if owner_rival {
            self.start_owner();
        }
        if owner_pause {
            if let Some(process) = self.any(self.owners.keys().copied().collect()) {
                let until = self.now + Duration::from_millis(self.rng.u64(..20_000));
                self.pause_owner(process, until);
            }
        }
        if worker_crash {
            if let Some(process) = self.any(self.workers.keys().copied().collect()) {
                self.kill_worker(process);
            }
        }
        if worker_stop {
            if let Some(process) = self.any(self.workers.keys().copied().collect()) {
                self.stop_worker(process);
            }
        }
    }

    fn any(&mut self, processes: Vec<Process>) -> Option<Process> {
        (!processes.is_empty()).then(|| processes[self.rng.usize(..processes.len())])
    }

    /// Stores a delivery in the sink. The sink ignores an index below its number of items.
    pub(super) fn deliver(&mut self, process: Process, index: u64, outcome: Result<Bytes, Gap>) {
        if self.deliverer != Some(process) {
            self.retired.extend(self.deliverer);
            self.deliverer = Some(process);
        }
        let mut others = self.owners.iter().filter(|(other, _)| **other != process);
        assert!(
            others.all(|(_, other)| !other.may_deliver(self.now)),
            "two owners may deliver item {index}"
        );
        // After a loss of the record, any of the owners may take the lease.
        assert!(
            self.has_lost_all || !self.retired.contains(&process),
            "an owner delivers item {index} after a newer owner has delivered"
        );
        reference::check(&self.plan, index, &outcome);
        let stored = self.sink.len() as u64;
        assert!(index <= stored, "item {index} is delivered before item {stored}");
        if index == stored {
            self.sink.push(outcome);
        }
    }

    /// Fails if an owner acknowledges the last copy of a result that is not stored.
    pub(super) fn check_acknowledgement(&self, receipt: Receipt, ring: RingId) {
        // With two owners, each of them may hold one copy and refuse the other copy.
        if !self.is_honest || !self.has_one_owner || self.plan.with_failures {
            return;
        }
        let Some(body) = self.engine.body(receipt) else { return };
        let results = Results::decode(&body).expect("an honest engine");
        assert_eq!(results.ring, ring, "the ring of the job has changed");
        let is_done = |item: &ResultItem| matches!(item.outcome, Outcome::Done(_));
        for item in results.items.into_iter().filter(is_done) {
            let is_stored = item.position < self.sink.len() as u64;
            let has_copy = || {
                self.engine.bodies(Channel::Results, receipt).any(|body| {
                    let copy = Results::decode(&body).expect("an honest engine");
                    copy.items.iter().any(|other| other.position == item.position)
                })
            };
            assert!(
                is_stored || has_copy(),
                "the only result of item {} is acknowledged before it is stored",
                item.position
            );
        }
    }

    /// Fails if a worker acknowledges a task whose result is not stored.
    pub(super) fn check_task_acknowledgement(&self, receipt: Receipt) {
        let Some(body) = self.engine.body(receipt).filter(|_| self.is_honest) else { return };
        let tasks = Tasks::decode(&body).expect("an honest engine");
        for task in tasks.items {
            assert!(
                self.results.contains(&(tasks.ring, task.position)),
                "task {} is acknowledged before its result is stored",
                task.position
            );
        }
    }

    pub(super) fn note_step(&mut self, process: Process, step: &Step) {
        match step {
            Step::Fenced { .. } => {
                self.owners.remove(&process);
                // The run needs an owner to end.
                if self.owners.is_empty() {
                    self.after(Duration::from_millis(100), Event::StartOwner);
                }
            }
            Step::Unreadable(error) => panic!("the record cannot be read: {error}"),
            Step::Delivery { .. } | Step::Pending | Step::Ended => {}
        }
    }

    pub(super) fn note_closed(&mut self) {
        self.is_closed = true;
    }
}
