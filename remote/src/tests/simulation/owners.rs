//! The driver of the owners.

use std::time::{Duration, Instant};

use crate::in_process::Receipt;
use crate::link::{Acknowledgement, Channel};
use crate::machine::{Opening, Owner, OwnerAction, OwnerConfig, Step};
use crate::tests::simulation::reference;
use crate::tests::simulation::world::{Event, Process, Reply, Request, World};

pub(super) struct OwnerProcess {
    opening: Opening,
    /// `None` until the lease is taken.
    pub(super) owner: Option<Owner<Receipt>>,
    offered: u64,
    uncommitted: u64,
    is_finished: bool,
    wake_at: Option<Instant>,
    /// The process does not run before this instant.
    paused_until: Option<Instant>,
}

impl OwnerProcess {
    pub(super) fn may_deliver(&self, now: Instant) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.may_deliver(now))
    }
}

impl World {
    pub(super) fn start_owner(&mut self) {
        let process = self.new_process();
        let plan = &self.plan;
        let config = OwnerConfig {
            window: plan.window,
            ask_again_after: plan.ask_again_after,
            attempts: plan.attempts,
            lease: plan.lease,
            items_per_message: plan.items_per_message,
            max_message: plan.max_message,
            watermark: plan.watermark(self.sink.len() as u64),
            instance: process,
        };
        let owner = OwnerProcess {
            opening: Opening::new(config, self.now),
            owner: None,
            offered: 0,
            uncommitted: 0,
            is_finished: false,
            wake_at: None,
            paused_until: None,
        };
        self.owners.insert(process, owner);
        self.run_owner(process);
    }

    pub(super) fn kill_owner(&mut self, process: Process) {
        self.owners.remove(&process);
        if self.owners.is_empty() {
            let delay = Duration::from_millis(self.rng.u64(1..5_000));
            self.after(delay, Event::StartOwner);
        }
    }

    pub(super) fn pause_owner(&mut self, process: Process, until: Instant) {
        if let Some(owner) = self.owners.get_mut(&process) {
            owner.paused_until = Some(until);
        }
    }

    pub(super) fn owner_replied(&mut self, process: Process, reply: Reply) {
        let Some(running) = self.owners.get_mut(&process) else { return };
        if let Some(until) = running.paused_until.filter(|until| *until > self.now) {
            let delay = until - self.now;
            return self.after(delay, Event::Reply(process, reply));
        }
        let now = self.now;
        match (&mut running.owner, reply) {
            (None, Reply::Loaded(result)) => {
                running.opening.loaded(now, result).expect("a record");
            }
            (None, Reply::Stored(result)) => {
                running.owner = running.opening.stored(now, result);
                if let Some(owner) = &running.owner {
                    running.offered = owner.first();
                    let most = self.plan.window;
                    let channel = Channel::Results;
                    self.request(process, Request::Receive { channel, most });
                }
            }
            (None, _) => unreachable!("the owner publishes and receives after it has the lease"),
            (Some(owner), Reply::Published { number, result }) => {
                owner.published(now, number, result);
            }
            (Some(owner), Reply::Received(messages)) => {
                if messages.is_empty() {
                    owner.received_nothing();
                }
                for message in messages {
                    owner.received(now, message);
                }
                let most = self.rng.usize(1..=self.plan.window);
                self.request(process, Request::Receive { channel: Channel::Results, most });
            }
            (Some(owner), Reply::Loaded(result)) => owner.loaded(now, result),
            (Some(owner), Reply::Stored(result)) => owner.stored(now, result),
        }
        self.run_owner(process);
    }

    /// Offers items, performs actions, and takes deliveries, until there is nothing to do.
    pub(super) fn run_owner(&mut self, process: Process) {
        let Some(running) = self.owners.get_mut(&process) else { return };
        if running.wake_at.is_some_and(|at| at <= self.now) {
            running.wake_at = None;
        }
        if running.paused_until.is_some_and(|until| until > self.now) {
            // A reply or a later event wakes the process.
            if let Some(until) = running.paused_until {
                self.after(until - self.now, Event::Wake(process));
            }
            return;
        }
        self.offer(process);
        self.perform_actions(process);
        while self.deliver_next(process) {
            self.offer(process);
            self.perform_actions(process);
        }
        let Some(running) = self.owners.get_mut(&process) else { return };
        let deadline = match &running.owner {
            None => running.opening.deadline(),
            Some(owner) => {
                owner.check_bounds();
                if self.is_honest {
                    assert_eq!(owner.stats().refused.foreign, 0, "the ring has changed");
                }
                if owner.is_closed() {
                    return self.note_closed();
                }
                owner.deadline()
            }
        };
        if let Some(deadline) = deadline.filter(|at| running.wake_at.is_none_or(|old| *at < old)) {
            running.wake_at = Some(deadline);
            let delay = deadline.saturating_duration_since(self.now);
            self.after(delay, Event::Wake(process));
        }
    }

    fn offer(&mut self, process: Process) {
        let Some(running) = self.owners.get_mut(&process) else { return };
        let Some(owner) = &mut running.owner else { return };
        while owner.free() > 0 && running.offered < self.plan.items {
            owner.offer(Ok(reference::task(&self.plan, running.offered)));
            running.offered += 1;
        }
        if running.offered >= self.plan.items && !running.is_finished {
            running.is_finished = true;
            owner.finish();
        }
    }

    fn perform_actions(&mut self, process: Process) {
        while let Some(running) = self.owners.get_mut(&process) {
            let (action, ring) = match &mut running.owner {
                Some(owner) => (owner.poll(self.now), Some(owner.ring())),
                None => (running.opening.poll(self.now), None),
            };
            let Some(action) = action else { return };
            let request = match action {
                OwnerAction::Publish { number, id, body } => {
                    Request::Publish { channel: Channel::Tasks, number, id, body }
                }
                OwnerAction::Acknowledge { receipt, with } => {
                    if let Some(ring) = ring.filter(|_| with == Acknowledgement::Done) {
                        self.check_acknowledgement(receipt, ring);
                    }
                    Request::Acknowledge { receipt, with }
                }
                OwnerAction::Store { value, expected } => Request::Store { value, expected },
                OwnerAction::Load => Request::Load,
            };
            self.request(process, request);
        }
    }

    /// Takes a delivery. The process may die before or after the sink has stored it.
    fn deliver_next(&mut self, process: Process) -> bool {
        let Some(OwnerProcess { owner: Some(owner), .. }) = self.owners.get_mut(&process) else {
            return false;
        };
        let step = owner.next(self.now);
        self.note_step(process, &step);
        let Step::Delivery { index, outcome } = step else { return false };
        if self.dies_now() {
            self.kill_owner(process);
            return false;
        }
        self.deliver(process, index, outcome);
        if self.dies_now() {
            self.kill_owner(process);
            return false;
        }
        let Some(running) = self.owners.get_mut(&process) else { return false };
        running.uncommitted += 1;
        let is_last = index + 1 == self.plan.items;
        let Some(owner) = &mut running.owner else { return false };
        // A window that is smaller than the pause between commits would wait for ever.
        let every = self.plan.commit_every.min(self.plan.window as u64);
        if running.uncommitted >= every || is_last {
            running.uncommitted = 0;
            owner.commit(index + 1);
        }
        true
    }

    fn dies_now(&mut self) -> bool {
        let dies = self.plan.owner_crashes > 0 && self.rng.u8(..32) == 0;
        self.plan.owner_crashes -= u32::from(dies);
        dies
    }
}
