//! An engine in memory: two channels and one entry. It has no clock, so tests run it in virtual
//! time.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

use crate::in_process::faults::{self, Faults};
use crate::link::{Acknowledgement, Channel, Entry, LinkError, Message, MessageId};

/// The number of ids that the engine remembers per channel.
const RECENT: usize = 1024;
/// The longest and the shortest time after which a message comes again. An instant cannot express
/// all times, and without a wait, a receiver would get one message without end.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(1);
/// The most messages that a message overtakes.
const LONGEST_SWAP: usize = 8;

/// Acknowledges a message of an [`InProcess`](crate::InProcess) link.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    channel: Channel,
    /// `None` for a forged message.
    sequence: Option<u64>,
}

pub(crate) struct Engine {
    pub(crate) faults: Faults,
    acknowledgement_wait: Duration,
    pub(crate) max_message: usize,
    tasks: Stored,
    results: Stored,
    entry: Option<Entry>,
    rng: Rng,
}

/// The messages of a channel.
#[derive(Default)]
struct Stored {
    messages: BTreeMap<u64, StoredMessage>,
    /// The instants at which messages are delivered next.
    due: BTreeSet<(Instant, u64)>,
    last: u64,
    ids: HashSet<MessageId>,
    recent: VecDeque<MessageId>,
}

struct StoredMessage {
    body: Bytes,
    due: Instant,
    deliveries: u64,
}

impl Engine {
    pub(crate) fn new(faults: Faults, seed: u64) -> Engine {
        Engine {
            faults,
            acknowledgement_wait: Duration::from_secs(30),
            max_message: 1 << 20,
            tasks: Stored::default(),
            results: Stored::default(),
            entry: None,
            rng: Rng::with_seed(seed),
        }
    }

    pub(crate) fn set_acknowledgement_wait(&mut self, wait: Duration) {
        self.acknowledgement_wait = wait.clamp(SHORTEST, LONGEST);
    }

    pub(crate) fn publish(
        &mut self,
        now: Instant,
        channel: Channel,
        id: MessageId,
        body: Bytes,
    ) -> Result<(), LinkError> {
        if body.len() > self.max_message {
            return Err(LinkError::TooLarge { given: body.len(), allowed: self.max_message });
        }
        let fails = self.fails();
        if fails == Some(Happened(false)) {
            return Err(unavailable());
        }
        let is_lost = self.happens(self.faults.lose);
        if !is_lost && self.channel(channel).is_new(id) {
            let copies = 1 + u32::from(self.happens(self.faults.double));
            for _ in 0..copies {
                let due = now + self.delay();
                self.channel(channel).store(body.clone(), due);
            }
        }
        if fails.is_some() { Err(unavailable()) } else { Ok(()) }
    }

    /// Returns messages that are due, at most `most`.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        channel: Channel,
        most: usize,
    ) -> Vec<Message<Receipt>> {
        let mut messages = Vec::new();
        while messages.len() < most {
            let skipped = match self.happens(self.faults.swap) {
                true => self.rng.usize(..LONGEST_SWAP),
                false => 0,
            };
            let due = &self.channel(channel).due;
            let visible = || due.iter().take_while(|(due, _)| *due <= now);
            let Some(&(_, sequence)) = visible().nth(skipped).or_else(|| visible().next()) else {
                break;
            };
            let comes_again = match self.happens(self.faults.double) {
                true => Duration::ZERO,
                false => self.acknowledgement_wait,
            };
            let stored = self.channel(channel);
            stored.set_due(sequence, now + comes_again);
            let Some(message) = stored.messages.get_mut(&sequence) else { break };
            message.deliveries += 1;
            let (mut body, deliveries) = (message.body.clone(), message.deliveries);
            if self.happens(self.faults.forge) {
                let (receipt, deliveries) = (Receipt { channel, sequence: None }, 1);
                let body = faults::forged(&body, &mut self.rng);
                messages.push(Message { sequence, deliveries, body, receipt });
            }
            if self.happens(self.faults.truncate) {
                body = faults::truncated(&body, &mut self.rng);
            }
            let receipt = Receipt { channel, sequence: Some(sequence) };
            messages.push(Message { sequence, deliveries, body, receipt });
        }
        messages
    }

    /// Acknowledges a message, and returns its channel.
    ///
    /// After a loss of the storage, an old receipt may acknowledge a new message, as with engines
    /// that number their messages from 1 again.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        receipt: &Receipt,
        with: Acknowledgement,
    ) -> Channel {
        let is_lost = self.happens(self.faults.lose);
        if let Some(sequence) = receipt.sequence.filter(|_| !is_lost) {
            let wait = self.acknowledgement_wait;
            let stored = self.channel(receipt.channel);
            match with {
                Acknowledgement::Done | Acknowledgement::Refused => stored.remove(sequence),
                Acknowledgement::Progress => stored.set_due(sequence, now + wait),
                Acknowledgement::Again(after) => {
                    stored.set_due(sequence, now + after.min(LONGEST));
                }
            }
        }
        receipt.channel
    }

    pub(crate) fn load(&mut self) -> Result<Option<Entry>, LinkError> {
        match self.fails() {
            None => Ok(self.entry.clone()),
            Some(_) => Err(unavailable()),
        }
    }

    pub(crate) fn store(
        &mut self,
        value: Bytes,
        expected: Option<u64>,
    ) -> Result<Option<u64>, LinkError> {
        let fails = self.fails();
        if fails == Some(Happened(false)) {
            return Err(unavailable());
        }
        let found = self.entry.as_ref().map(|entry| entry.revision);
        let stored = (found == expected).then(|| {
            // As the revision is the number of a message, it begins at 1 after a loss.
            let revision = found.map_or(1, |revision| revision + 1);
            self.entry = Some(Entry { value, revision });
            revision
        });
        if fails.is_some() { Err(unavailable()) } else { Ok(stored) }
    }

    pub(crate) fn forget(&mut self) {
        self.tasks = Stored::default();
        self.results = Stored::default();
        self.entry = None;
    }

    pub(crate) fn stored(&self, channel: Channel) -> usize {
        match channel {
            Channel::Tasks => self.tasks.messages.len(),
            Channel::Results => self.results.messages.len(),
        }
    }

    /// Returns the instant at which the next message of a channel is delivered.
    pub(crate) fn due(&mut self, channel: Channel) -> Option<Instant> {
        self.channel(channel).due.first().map(|&(due, _)| due)
    }

    /// Returns the body of a stored message.
    #[cfg(test)]
    pub(crate) fn body(&self, receipt: Receipt) -> Option<Bytes> {
        let stored = match receipt.channel {
            Channel::Tasks => &self.tasks,
            Channel::Results => &self.results,
        };
        stored.messages.get(&receipt.sequence?).map(|message| message.body.clone())
    }

    /// Returns the bodies of all stored messages of a channel but one.
    #[cfg(test)]
    pub(crate) fn bodies(
        &self,
        channel: Channel,
        but: Receipt,
    ) -> impl Iterator<Item = Bytes> + use<'_> {
        let stored = match channel {
            Channel::Tasks => &self.tasks,
            Channel::Results => &self.results,
        };
        let others = stored.messages.iter().filter(move |(n, _)| Some(**n) != but.sequence);
        others.map(|(_, message)| message.body.clone())
    }

    fn channel(&mut self, channel: Channel) -> &mut Stored {
        match channel {
            Channel::Tasks => &mut self.tasks,
            Channel::Results => &mut self.results,
        }
    }

    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.f64() < chance
    }

    /// Decides whether an operation fails, and whether it has happened nevertheless.
    fn fails(&mut self) -> Option<Happened> {
        self.happens(self.faults.fail).then(|| Happened(self.rng.bool()))
    }

    fn delay(&mut self) -> Duration {
        match self.happens(self.faults.delay) {
            true => self.faults.longest_delay.min(LONGEST).mul_f64(self.rng.f64()),
            false => Duration::ZERO,
        }
    }
}

#[derive(PartialEq, Eq)]
struct Happened(bool);

fn unavailable() -> LinkError {
    LinkError::Unavailable(Box::new(io::Error::from(io::ErrorKind::TimedOut)))
}

impl Stored {
    /// Remembers an id. Returns `false` if it is known already.
    fn is_new(&mut self, id: MessageId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.recent.push_back(id);
        if self.recent.len() > RECENT {
            if let Some(oldest) = self.recent.pop_front() {
                self.ids.remove(&oldest);
            }
        }
        true
    }

    fn store(&mut self, body: Bytes, due: Instant) {
        self.last += 1;
        self.messages.insert(self.last, StoredMessage { body, due, deliveries: 0 });
        self.due.insert((due, self.last));
    }

    fn set_due(&mut self, sequence: u64, due: Instant) {
        if let Some(message) = self.messages.get_mut(&sequence) {
            self.due.remove(&(message.due, sequence));
            message.due = due;
            self.due.insert((due, sequence));
        }
    }

    fn remove(&mut self, sequence: u64) {
        if let Some(message) = self.messages.remove(&sequence) {
            self.due.remove(&(message.due, sequence));
        }
    }
}
