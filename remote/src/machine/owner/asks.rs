//! The asks: which tasks are with the engine or with workers, and when to ask again.
//!
//! ```text
//!          offered                  poll                 confirmed
//!   ────▶ Unasked ────▶ Fresh ─────────────▶ Publishing ──────────▶ Queued
//!                                               ▲                     │  a later ask is answered,
//!                              again at once    │                     ▼  or another of its message
//!                       Again ──────────────────┘                 Overtaken
//!                         ▲                                           │
//!                         └──── Waiting ◀── a worker reports ─────────┴──▶ silent: Again
//!
//!   from every state: a result is accepted, or the item becomes a gap ────▶ Settled
//! ```
//!
//! A worker that dies does not say so, and the engine may lose a message. But a task that is only
//! queued behind others is silent, too. So there are two clocks:
//!
//! * **Overtaken**: the engine hands out messages in about the order of their publication. When a
//!   later ask is answered, a worker has had this task, or the task is lost. From then on, the
//!   owner waits for `ask_again_after`. Then the attempt counts as failed.
//! * **Quiet**: if no result came for `ask_again_after`, the owner asks again for the tasks of the
//!   oldest queued message, and counts no attempt. If an answer comes, all other tasks are
//!   overtaken. So a time without workers costs few messages, and no attempts.
//!
//! Both times double with each ask that is not answered, up to 64 times. If jobs take longer than
//! `ask_again_after`, each copy of a task delays the other tasks. Without the doubling, the copies
//! would grow without bound.
//!
//! A task may wait for the other tasks of its message, so `ask_again_after` is for a whole message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The waits double this often at most.
const DOUBLINGS: u32 = 6;

/// The place of the task of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The source has not given the item yet.
    Unasked,
    /// The task is to be published for the first time.
    Fresh,
    /// The task is to be published again.
    Again,
    /// The task is in this message, which the engine has not confirmed yet.
    Publishing(u64),
    /// The task is in this message, and may wait behind others.
    Queued(u64),
    /// The task is silent until this instant at most.
    Overtaken(Instant),
    /// The task is published again at this instant.
    Waiting(Instant),
    /// The position has a result or a gap.
    Settled,
}

impl Ask {
    fn is_out(self) -> bool {
        matches!(self, Ask::Publishing(_) | Ask::Queued(_) | Ask::Overtaken(_))
    }
}

/// A message that the engine has not confirmed.
struct Publishing {
    /// The tasks that have no result yet.
    positions: Vec<u64>,
    /// The number of tasks at first.
    tasks: usize,
    body: Bytes,
}

struct Queued {
    positions: Vec<u64>,
    since: Instant,
}

pub(super) struct Asks {
    ask_again_after: Duration,
    /// The number of the next message.
    next: u64,
    fresh: BTreeSet<u64>,
    again: BTreeSet<u64>,
    publishing: BTreeMap<u64, Publishing>,
    queued: BTreeMap<u64, Queued>,
    /// The instants of the next tries of messages.
    retries: BTreeSet<(Instant, u64)>,
    /// The ends of the times of overtaken and waiting tasks.
    timers: BTreeSet<(Instant, u64)>,
    /// The number of tasks that the engine or workers have, or may have.
    out: usize,
    /// The last instant of a result, or of an ask because there was none.
    last_news: Instant,
    /// The number of asks since the last answer, because there was none.
    quiet_asks: u32,
}

impl Asks {
    pub(super) fn new(ask_again_after: Duration, now: Instant) -> Asks {
        Asks {
            ask_again_after,
            next: 0,
            fresh: BTreeSet::new(),
            again: BTreeSet::new(),
            publishing: BTreeMap::new(),
            queued: BTreeMap::new(),
            retries: BTreeSet::new(),
            out: 0,
            timers: BTreeSet::new(),
            last_news: now,
            quiet_asks: 0,
        }
    }

    /// Changes where a task is. A task is in one place at a time, so all places together have no
    /// more tasks than the window.
    pub(super) fn set(&mut self, position: u64, ask: &mut Ask, to: Ask) {
        match *ask {
            Ask::Fresh => _ = self.fresh.remove(&position),
            Ask::Again => _ = self.again.remove(&position),
            Ask::Overtaken(at) | Ask::Waiting(at) => _ = self.timers.remove(&(at, position)),
            Ask::Publishing(number) => {
                if let Some(publishing) = self.publishing.get_mut(&number) {
                    publishing.positions.retain(|&other| other != position);
                    if publishing.positions.is_empty() {
                        self.publishing.remove(&number);
                    }
                }
            }
            Ask::Queued(number) => {
                if let Some(queued) = self.queued.get_mut(&number) {
                    queued.positions.retain(|&other| other != position);
                    if queued.positions.is_empty() {
                        self.queued.remove(&number);
                    }
                }
            }
            Ask::Unasked | Ask::Settled => {}
        }
        match to {
            Ask::Fresh => _ = self.fresh.insert(position),
            Ask::Again => _ = self.again.insert(position),
            Ask::Overtaken(at) | Ask::Waiting(at) => _ = self.timers.insert((at, position)),
            _ => {}
        }
        self.out = self.out + usize::from(to.is_out()) - usize::from(ask.is_out());
        *ask = to;
    }

    /// Returns the lowest task that is to be published again.
    pub(super) fn first_again(&self) -> Option<u64> {
        self.again.first().copied()
    }

    /// Returns the lowest task that is to be published for the first time.
    pub(super) fn first_fresh(&self) -> Option<u64> {
        self.fresh.first().copied()
    }

    /// Returns the number of tasks that are to be published for the first time.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Returns the number of tasks that the engine or workers have, or may have.
    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// Returns the number of a new message. Its tasks are being published.
    pub(super) fn publish(&mut self, positions: Vec<u64>, body: Bytes) -> u64 {
        let number = self.next;
        self.next += 1;
        self.publishing.insert(number, Publishing { tasks: positions.len(), positions, body });
        number
    }

    /// Returns the number of the message that `publish` returns next.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    /// Notes that the engine has confirmed a message. Returns its tasks, which are queued now.
    pub(super) fn confirmed(&mut self, number: u64, now: Instant) -> Vec<u64> {
        let Some(publishing) = self.publishing.remove(&number) else { return Vec::new() };
        let positions = publishing.positions;
        self.queued.insert(number, Queued { positions: positions.clone(), since: now });
        positions
    }

    /// Notes that the engine has not confirmed a message. It is published again.
    pub(super) fn failed(&mut self, number: u64, retry_at: Instant) {
        if self.publishing.contains_key(&number) {
            self.retries.insert((retry_at, number));
        }
    }

    /// Forgets a message that the engine refuses for ever. Returns its tasks that have no result
    /// yet, and `true` if it had one task from the beginning.
    pub(super) fn refused(&mut self, number: u64) -> (Vec<u64>, bool) {
        let Some(publishing) = self.publishing.remove(&number) else { return (Vec::new(), false) };
        (publishing.positions, publishing.tasks == 1)
    }

    /// Returns a message whose next try is due.
    pub(super) fn retry(&mut self, now: Instant) -> Option<(u64, Bytes)> {
        while self.retries.first().is_some_and(|&(at, _)| at <= now) {
            let (_, number) = self.retries.pop_first()?;
            if let Some(publishing) = self.publishing.get(&number) {
                return Some((number, publishing.body.clone()));
            }
        }
        None
    }

    /// Notes a result of this job, which may be refused. It shows that there are workers.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_news = now;
    }

    /// Notes an answer to a task of a message. Returns the queued tasks that are overtaken by it.
    pub(super) fn answered(&mut self, ask: Ask, now: Instant) -> Vec<u64> {
        self.heard(now);
        self.quiet_asks = 0;
        let number = match ask {
            Ask::Publishing(number) | Ask::Queued(number) => number,
            _ => return Vec::new(),
        };
        let later = self.queued.split_off(&(number + 1));
        let overtaken = core::mem::replace(&mut self.queued, later);
        overtaken.into_values().flat_map(|queued| queued.positions).collect()
    }

    /// Returns the instant until which an overtaken task may be silent.
    pub(super) fn silent_until(&self, now: Instant, attempt: u32) -> Instant {
        now + self.doubled(attempt - 1)
    }

    fn doubled(&self, times: u32) -> Duration {
        self.ask_again_after * (1 << times.min(DOUBLINGS))
    }

    /// Returns the position of a timer that has ended, and removes it.
    pub(super) fn timer(&mut self, now: Instant) -> Option<u64> {
        let &(at, position) = self.timers.first()?;
        (at <= now).then(|| {
            self.timers.pop_first();
            position
        })
    }

    /// Returns the tasks of the oldest queued message, if nothing was answered for too long.
    pub(super) fn quiet(&mut self, now: Instant) -> Vec<u64> {
        match self.quiet_at() {
            Some(at) if at <= now => {
                self.last_news = now;
                self.quiet_asks += 1;
                self.queued.pop_first().map_or_else(Vec::new, |(_, queued)| queued.positions)
            }
            _ => Vec::new(),
        }
    }

    fn quiet_at(&self) -> Option<Instant> {
        let (_, oldest) = self.queued.first_key_value()?;
        Some(oldest.since.max(self.last_news) + self.doubled(self.quiet_asks))
    }

    /// Returns the instant of the next timer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, u64)>| set.first().map(|&(at, _)| at);
        [first(&self.retries), first(&self.timers), self.quiet_at()].into_iter().flatten().min()
    }

    /// Returns the number of tasks in messages and timers, for tests of the memory.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let publishing = self.publishing.values().map(|publishing| publishing.positions.len());
        let queued = self.queued.values().map(|queued| queued.positions.len());
        let sets = self.fresh.len() + self.again.len() + self.timers.len();
        publishing.chain(queued).sum::<usize>() + sets
    }
}
