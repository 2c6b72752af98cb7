//! The owner: it alone knows which items are missing, and asks for them until they are there.
//!
//! ```text
//!            base               delivered                offered            base + window
//!             ▼                     ▼                       ▼                     ▼
//!  ┌──────────┬─────────────────────┬───────────────────────┬─────────────────────┐
//!  │committed │ delivered, messages │ asked: with engine or │ reserved, for asks  │
//!  │          │ held until a commit │ workers, or has value │ of the predecessor  │
//!  └──────────┴─────────────────────┴───────────────────────┴─────────────────────┘
//! ```
//!
//! | module | decides |
//! |---|---|
//! | `opening` | when an owner has the lease at first |
//! | `lease` | whether the owner may deliver |
//! | `publish` | which tasks leave in a message |
//! | `asks` | where each task is, and when to ask again |
//! | `results` | which results are accepted |
//! | `held` | which messages the engine must keep |
//!
//! The ring holds the values, puts them in order, and refuses what is stale, foreign or doubled. A
//! result names its position. So the worker, the time and the number of copies do not matter.

mod asks;
mod held;
mod lease;
mod opening;
mod publish;
mod results;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reorder_ring::{Batch, Ring, RingId};

use crate::gap::Gap;
use crate::link::{Acknowledgement, Entry as Loaded, LinkError, MessageId};
use crate::machine::StoredId;
use crate::stats::{AnswerStats, OwnerStats};
use crate::wire::{Record, WireError, largest_task};
use asks::{Ask, Asks};
use held::HeldMessages;
use lease::{Lease, LeaseAction};
pub(crate) use opening::{OpenFailure, Opening};

/// The place that keeps the number of committed results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watermark {
    /// In the record of the job. A result is committed when the engine has stored the record.
    InRecord,
    /// In the sink, which had this number when the owner was opened.
    InSink(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) window: usize,
    pub(crate) ask_again_after: Duration,
    pub(crate) attempts: u32,
    pub(crate) lease: Duration,
    pub(crate) items_per_message: usize,
    pub(crate) max_message: usize,
    pub(crate) watermark: Watermark,
    /// A number that no other owner has.
    pub(crate) instance: u64,
}

/// An action that the driver performs for the owner.
#[derive(Debug)]
pub(crate) enum OwnerAction<R> {
    /// Publishes tasks, and reports the end by `published`.
    Publish {
        number: u64,
        id: MessageId,
        body: Bytes,
    },
    Acknowledge {
        receipt: R,
        with: Acknowledgement,
    },
    /// Stores the record, and reports the end by `stored`.
    Store {
        value: Bytes,
        expected: Option<u64>,
    },
    /// Loads the record, and reports the end by `loaded`.
    Load,
}

/// The next thing that the consumer gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Delivery {
        index: u64,
        outcome: Result<Bytes, Gap>,
    },
    Pending,
    /// All items were delivered.
    Ended,
    /// A newer owner has the lease.
    Fenced {
        epoch: u64,
    },
    /// The record cannot be read.
    Unreadable(WireError),
}

/// One position of the window.
struct Entry {
    payload: Bytes,
    attempt: u32,
    ask: Ask,
    /// Says that the task was published again.
    is_repeated: bool,
    last_error: Option<String>,
    /// The held message of the accepted result.
    message: Option<StoredId>,
    gap: Option<Gap>,
}

impl Entry {
    fn new() -> Entry {
        Entry {
            payload: Bytes::new(),
            attempt: 1,
            ask: Ask::Unasked,
            is_repeated: false,
            last_error: None,
            message: None,
            gap: None,
        }
    }
}

pub(crate) struct Owner<R> {
    config: Config,
    lease: Lease,
    batch: Batch<Arc<Ring<Bytes>>>,
    /// The position of the batch's index 0.
    first: u64,
    /// The position of the first entry. All lower positions are committed.
    base: u64,
    entries: VecDeque<Entry>,
    delivered: u64,
    /// The number of delivered items that the consumer wants to commit.
    to_commit: u64,
    offered: u64,
    end: Option<u64>,
    asks: Asks,
    /// Before this instant, results of the predecessor's asks may be on their way.
    listen_until: Option<Instant>,
    held: HeldMessages<R>,
    actions: VecDeque<OwnerAction<R>>,
    unreadable: Option<WireError>,
    stats: OwnerStats,
    /// The numbers of each worker, for some workers.
    answers: BTreeMap<u64, AnswerStats>,
}

impl<R: Clone> Owner<R> {
    /// Returns an owner that has the lease. It reserves its whole window before any result arrives.
    ///
    /// A resumed owner goes on with the ring of its predecessor.
    fn new(
        mut config: Config,
        lease: Lease,
        ring: Arc<Ring<Bytes>>,
        first: u64,
        is_resumed: bool,
        now: Instant,
    ) -> Owner<R> {
        // A message of half the window or more would leave workers without tasks.
        config.items_per_message = config.items_per_message.clamp(1, (config.window / 4).max(1));
        let batch = ring.open_owned().expect("no other batch has the ring");
        let asks = Asks::new(config.ask_again_after, now);
        let listen_until = is_resumed.then(|| now + config.lease / 4);
        let mut owner = Owner {
            config,
            lease,
            batch,
            first,
            base: first,
            entries: VecDeque::new(),
            delivered: first,
            to_commit: first,
            offered: first,
            end: None,
            asks,
            listen_until,
            held: HeldMessages::new(),
            actions: VecDeque::new(),
            unreadable: None,
            stats: OwnerStats::default(),
            answers: BTreeMap::new(),
        };
        owner.reserve(owner.config.window);
        owner
    }

    /// Returns the index of the first item that is not committed.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the epoch of this owner. The owners of a job have growing epochs.
    pub(crate) fn epoch(&self) -> u64 {
        self.lease.own().epoch
    }

    /// Returns the identity of the job's ring.
    pub(crate) fn ring(&self) -> RingId {
        self.batch.ring().id()
    }

    pub(crate) fn stats(&self) -> OwnerStats {
        self.stats
    }

    /// Returns the numbers of each worker.
    pub(crate) fn answers(&self) -> &BTreeMap<u64, AnswerStats> {
        &self.answers
    }

    /// Returns the size of the window.
    pub(crate) fn window(&self) -> usize {
        self.config.window
    }

    /// Returns the number of items that the window has room for.
    pub(crate) fn free(&self) -> usize {
        match self.end {
            None => self.entries.len() - (self.offered - self.base) as usize,
            Some(_) => 0,
        }
    }

    /// Takes the next item: its task, or the reason why there is none. The window has room for it.
    pub(crate) fn offer(&mut self, task: Result<Bytes, Gap>) {
        let position = self.offered;
        self.offered += 1;
        let allowed = largest_task(self.config.max_message);
        let entry = &mut self.entries[(position - self.base) as usize];
        if entry.ask == Ask::Settled {
            return; // The predecessor asked for it, and the result is here already.
        }
        match task {
            Ok(payload) if payload.len() <= allowed => {
                entry.payload = payload;
                self.asks.set(position, &mut entry.ask, Ask::Fresh);
            }
            Ok(payload) => {
                let (given, allowed) = (payload.len() as u64, allowed as u64);
                self.settle_with_gap(position, Gap::TaskTooLarge { given, allowed });
            }
            Err(gap) => self.settle_with_gap(position, gap),
        }
    }

    /// Notes that no item follows.
    pub(crate) fn finish(&mut self) {
        let end = self.offered;
        self.end = Some(end);
        let beyond = (end - self.base) as usize;
        for entry in self.entries.iter_mut().skip(beyond) {
            let Some(id) = entry.message.take() else { continue };
            self.stats.refused.unreserved += 1;
            if let Some(receipt) = self.held.committed(id) {
                let with = Acknowledgement::Done;
                self.actions.push_back(OwnerAction::Acknowledge { receipt, with });
            }
        }
    }

    /// Notes the end of a change of the record.
    pub(crate) fn stored(&mut self, now: Instant, result: Result<Option<u64>, LinkError>) {
        self.lease.note_stored(now, result);
        if self.config.watermark == Watermark::InRecord {
            self.release(self.lease.stored_watermark());
        }
    }

    /// Notes the end of a look at the record.
    pub(crate) fn loaded(&mut self, now: Instant, result: Result<Option<Loaded>, LinkError>) {
        let found = result.map(|entry| entry.as_ref().map(read_record).transpose());
        match found {
            Ok(Err(error)) => self.unreadable = Some(error),
            Ok(Ok(found)) => self.lease.note_loaded(now, Ok(found)),
            Err(error) => self.lease.note_loaded(now, Err(error)),
        }
        if self.lease.fenced_by().is_some() {
            // The newer owner needs these results.
            for receipt in self.held.take_all() {
                let with = Acknowledgement::Again(Duration::ZERO);
                self.actions.push_back(OwnerAction::Acknowledge { receipt, with });
            }
        }
    }

    /// Returns the next delivery, if this owner may deliver.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        if let Some(end) = self.broken_by() {
            return end;
        }
        if self.end == Some(self.delivered) {
            return Step::Ended;
        }
        // A result of the predecessor's asks may be here before the source has given its item.
        if !self.lease.may_deliver(now) || self.delivered == self.offered {
            return Step::Pending;
        }
        let Ok(delivery) = self.batch.try_next() else { return Step::Pending };
        let index = self.first + delivery.index;
        self.delivered = index + 1;
        let gap = self.entries[(index - self.base) as usize].gap.take();
        let outcome = delivery.outcome.map_err(|_| match gap {
            Some(gap) => gap,
            None => Gap::NoAnswer { attempts: 0, last_error: None },
        });
        Step::Delivery { index, outcome }
    }

    /// Returns `true` while no other owner delivers, for tests.
    #[cfg(test)]
    pub(crate) fn may_deliver(&self, now: Instant) -> bool {
        self.lease.may_deliver(now)
    }

    /// Commits all items below this index, if they were delivered. The sink has stored them.
    pub(crate) fn commit(&mut self, index: u64) {
        self.to_commit = self.to_commit.max(index.min(self.delivered));
        if self.config.watermark != Watermark::InRecord {
            self.release(self.to_commit);
        }
    }

    /// Returns the index of the first item that is not committed.
    pub(crate) fn committed(&self) -> u64 {
        self.base
    }

    /// Returns the reason why this owner delivers and commits nothing more, if there is one.
    pub(crate) fn broken_by(&self) -> Option<Step> {
        let fenced = self.lease.fenced_by().map(|token| Step::Fenced { epoch: token.epoch });
        fenced.or_else(|| self.unreadable.map(Step::Unreadable))
    }

    /// Returns `true` if every item is committed.
    pub(crate) fn is_committed(&self) -> bool {
        self.end == Some(self.base)
    }

    /// Returns `true` if every item is committed, and the lease was given back.
    pub(crate) fn is_closed(&self) -> bool {
        self.lease.is_released() && self.actions.is_empty()
    }

    /// Moves the window, and releases the messages of committed results.
    fn release(&mut self, to: u64) {
        let count = to.saturating_sub(self.base) as usize;
        for entry in self.entries.drain(..count) {
            if let Some(receipt) = entry.message.and_then(|id| self.held.committed(id)) {
                let with = Acknowledgement::Done;
                self.actions.push_back(OwnerAction::Acknowledge { receipt, with });
            }
        }
        self.base += count as u64;
        self.reserve(count);
    }

    fn reserve(&mut self, count: usize) {
        // Only the end of all positions can refuse the reservation, and no job reaches it.
        if count > 0 && self.batch.reserve_many(count).is_ok() {
            self.entries.extend((0..count).map(|_| Entry::new()));
        }
    }

    /// Returns the next action, or `None` until the [`deadline`](Owner::deadline) or an event.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<OwnerAction<R>> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if self.broken_by().is_some() {
            return None;
        }
        if self.is_committed() {
            self.lease.release();
        }
        let (committed, urgent) = match self.config.watermark {
            Watermark::InRecord => (self.to_commit, true),
            Watermark::InSink(_) => (self.base, false),
        };
        match self.lease.poll(now, committed, urgent) {
            Some(LeaseAction::Store { record, expected }) => {
                return Some(OwnerAction::Store { value: record.encode(), expected });
            }
            Some(LeaseAction::Load) => return Some(OwnerAction::Load),
            None => {}
        }
        self.run_timers(now);
        let retried = self.next_retry(now);
        retried.or_else(|| self.next_publication(now))
    }

    fn settle_with_gap(&mut self, position: u64, gap: Gap) {
        let bits = u128::from(u64::from(self.batch.ring().id())) << 64 | u128::from(position);
        let ring = self.batch.ring();
        if ring.ticket_from_bits(bits).is_ok_and(|ticket| ring.evict(ticket).is_ok()) {
            self.stats.gaps += 1;
            self.set(position, Ask::Settled);
            let entry = &mut self.entries[(position - self.base) as usize];
            entry.payload = Bytes::new();
            entry.gap = Some(gap);
        }
    }

    /// Returns the instant of the next timer, at which the driver polls, and the consumer looks.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.broken_by().is_some() {
            return None;
        }
        let listen = self.listen_until.filter(|_| self.asks.fresh() > 0);
        [self.lease.deadline(), self.asks.deadline(), listen].into_iter().flatten().min()
    }

    /// Fails if the owner keeps more than its window allows.
    #[cfg(test)]
    pub(crate) fn check_bounds(&self) {
        let window = self.config.window;
        assert_eq!(self.entries.len(), window);
        assert!(self.held.len() <= window);
        assert!(self.asks.len() <= window, "{} asks", self.asks.len());
        // Every result has a worker.
        let count = |of: fn(&AnswerStats) -> u64| self.answers.values().map(of).sum::<u64>();
        let OwnerStats { accepted, repeated, failed_attempts, redelivered, refused, .. } =
            self.stats;
        assert_eq!(count(|answers| answers.accepted), accepted);
        assert_eq!(count(|answers| answers.repeated), repeated);
        assert_eq!(count(|answers| answers.failed_attempts), failed_attempts);
        assert_eq!(count(|answers| answers.redelivered), redelivered);
        assert_eq!(count(|answers| answers.refused.duplicate), refused.duplicate);
        assert_eq!(count(|answers| answers.refused.foreign), refused.foreign);
    }

    fn entry(&self, position: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(position.checked_sub(self.base)?).ok()?)
    }

    fn set(&mut self, position: u64, to: Ask) {
        let entry = &mut self.entries[(position - self.base) as usize];
        self.asks.set(position, &mut entry.ask, to);
    }

    fn acknowledge(&mut self, receipt: R, with: Acknowledgement) {
        self.actions.push_back(OwnerAction::Acknowledge { receipt, with });
    }
}

/// Returns the record of an entry, and its revision.
pub(crate) fn read_record(entry: &Loaded) -> Result<(Record, u64), WireError> {
    Ok((Record::decode(&entry.value)?, entry.revision))
}
