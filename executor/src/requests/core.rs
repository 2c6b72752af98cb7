//! Requests as workers, the hub and their consumer see them: what is done with what the desk says.
//!
//! The desk's lock is held for a few instructions, and never while code of the user's runs. Whoever changes the desk
//! *stirs* afterwards, or goes on to take what is next: if something is to be done, the workers are told.
//!
//! Whoever looks, and finds that something is to be done only later, sees to it that a timer is set for then, which
//! stirs. That holds for a worker's look around as well: it may have been woken when the limiter was open, and another
//! batch was let through first.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

use reorder_ring::{Gap, Producer};

use crate::account::Account;
use crate::alarm::SharedAlarm;
use crate::chunk::{Chunk, Spares};
use crate::failure::{self, Discarded, Failure, Outcome, Panic, contain, discard};
use crate::feed::{Delivered, Feed};
use crate::hub::Hub;
use crate::limited::Limited;
use crate::primitive::{AtomicBool, AtomicWaker, Mutex, MutexGuard, now};
use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::desk::{Desk, Entry, Look, Next};
use crate::requests::flight::{Flight, Home, Landing, Place};
use crate::requests::jobs::{Attempt, Jobs};
use crate::requests::rate_limiter::{Dispatch, RateLimiter};
use crate::requests::retry::Retry;
use crate::stream::ChunkRing;
use crate::turn::Turn;

mod seen;
mod source;

type Source<I, U, E> = Box<Feed<I, U, E>>;
/// A desk, and what it has in hand.
type Table<I, K, U, E> = Mutex<Desk<Source<I, U, E>, Place<K>, E>>;
/// An item under way.
type Item<K, E> = Entry<Place<K>, E>;

/// What a batch of requests is made of.
pub(crate) struct Setting {
    pub(crate) retry: Retry,
    pub(crate) limiter: RateLimiter,
    pub(crate) concurrency: usize,
    pub(crate) limited: Arc<Limited>,
}

pub(crate) struct Core<I: Iterator, J: Jobs<I::Item, U, E>, U, E> {
    me: Weak<Self>,
    jobs: J,
    ring: Discarded<ChunkRing<U, E>>,
    desk: Discarded<Table<I, J::Item, U, E>>,
    limiter: RateLimiter,
    delivered: Delivered,
    spares: Arc<Spares<U, E>>,
    limited: Arc<Limited>,
    account: Account,
    consumer: AtomicWaker,
    /// Whether the consumer runs items, because nobody else might.
    is_dutiful: AtomicBool,
    alarm: SharedAlarm,
    hub: Arc<Hub>,
}

/// Rung by the alarm: workers look for themselves then. It keeps nothing of the user's alive, for it is rung on the
/// thread of all timers.
struct Bell(Weak<Hub>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(hub) = self.0.upgrade() {
            hub.announce();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of the user's runs under these, so a poisoned one is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I, J, U, E> Core<I, J, U, E>
where
    I: Iterator + Send + 'static,
    I::Item: Send,
    J: Jobs<I::Item, U, E> + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    pub(crate) fn new(
        source: I,
        jobs: J,
        ring: ChunkRing<U, E>,
        producer: Producer<ChunkRing<U, E>>,
        spares: Arc<Spares<U, E>>,
        setting: Setting,
        hub: Arc<Hub>,
    ) -> Arc<Self> {
        let Setting { retry, limiter, concurrency, limited } = setting;
        let window = ring.capacity() as u64;
        let feed = Box::new(Feed::new(source, producer));
        let timeout = limited.course.limits.item_timeout;
        Arc::new_cyclic(|me| Core {
            me: me.clone(),
            jobs,
            ring: Discarded::new(ring),
            desk: Discarded::new(Mutex::new(Desk::new(feed, retry, timeout, concurrency, window))),
            limiter,
            delivered: Delivered::default(),
            spares,
            limited,
            account: Account::default(),
            consumer: AtomicWaker::new(),
            is_dutiful: AtomicBool::new(false),
            alarm: SharedAlarm::default(),
            hub,
        })
    }

    fn look(&self, now: Instant) -> Look {
        lock(&self.desk).look(now, &self.limiter, self.delivered.get())
    }

    /// Whether something is to be done now. If it will be later, a timer is set.
    fn is_due(&self) -> bool {
        if self.is_stopped() {
            return self.jobs.can_abort();
        }
        let now = now();
        let Look::Rest(at) = self.look(now) else { return true };
        // The deadline ends what runs elsewhere.
        let deadline = self.limited.course.limits.deadline.filter(|_| self.jobs.can_abort());
        let at = at.into_iter().chain(deadline).min();
        let bell = || Waker::from(Arc::new(Bell(Arc::downgrade(&self.hub))));
        at.is_some_and(|at| self.alarm.set(at, now, bell))
    }

    fn is_stopped(&self) -> bool {
        self.limited.course.start(Some(now())).is_err()
    }

    /// Does one thing that is to be done. `false` if there was none.
    fn step(&self, turn: &Turn<'_>) -> bool {
        if self.is_stopped() {
            if self.jobs.can_abort() {
                turn.claimed(self);
            }
            return self.jobs.abort_all();
        }
        let mut desk = lock(&self.desk);
        let now = now();
        let next = desk.next(now, &self.limiter, self.delivered.get());
        drop(desk);
        match next {
            Next::Start(entry, dispatch) => {
                turn.claimed(self);
                turn.begins(entry.index, 1);
                self.start(entry, dispatch);
            }
            Next::End(entry) => {
                turn.claimed(self);
                self.end(entry, now);
            }
            Next::Pull(feed) => {
                turn.claimed(self);
                turn.begins(0, 0);
                self.pull(feed);
                // Whoever looked for work meanwhile found none.
                turn.claimed(self);
            }
            Next::Rest => return false,
        }
        turn.lap();
        true
    }

    fn start(&self, mut entry: Item<J::Item, E>, dispatch: Dispatch) {
        // What is due while this thread is at its job is somebody else's.
        self.stir();
        let started = entry.started.unwrap_or_else(now);
        if entry.attempts == 1 {
            self.limited.start(entry.index, Some(started));
        }
        let (Some(item), Some(me)) = (entry.place.item.take(), self.me.upgrade()) else { return };
        let attempt = Attempt::new(Arc::clone(&self.limited), entry.index, entry.attempts, started);
        self.jobs.begin(item, attempt, Flight::new(me, entry, dispatch));
        if self.jobs.can_abort() {
            // Its deadline is to be kept.
            self.stir();
        }
    }

    /// Gives an item its outcome that waited until its time was over.
    fn end(&self, mut entry: Item<J::Item, E>, now: Instant) {
        let failure = match self.limited.course.overdue(entry.started, Some(now)) {
            Some(stop) => stop.into(),
            None => exhausted(&mut entry),
        };
        self.settle(entry, Err(failure));
    }

    fn settle(&self, entry: Item<J::Item, E>, outcome: Outcome<U, E>) {
        if let Some(clock) = &self.limited.clock {
            clock.note(entry.index, entry.started, Some(now()));
        }
        self.complete(entry.place.ticket, outcome);
        lock(&self.desk).settle();
        discard_entry(entry);
    }

    /// Outcomes that come too late are refused by the ring, and dropped here.
    fn complete(&self, ticket: reorder_ring::Ticket, outcome: Outcome<U, E>) {
        let fails = failure::is_its_own(&outcome);
        let mut chunk: Chunk<U, E> = self.spares.take(1);
        chunk.push(outcome);
        let mut refused = None;
        // The consumer's waker may panic. The outcome is in its place by then.
        contain(|| refused = self.ring.complete(ticket, chunk).err());
        for outcome in refused.map_or_else(Chunk::new, |refused| refused.into_inner()) {
            if failure::is_of_the_job(&outcome) {
                self.limited.course.count_late();
            }
            discard(outcome);
        }
        if fails {
            // Not before: the consumer would give up on the very item that failed.
            self.limited.course.fail();
            self.wake_consumer();
        }
    }

    fn wake_consumer(&self) {
        contain(|| self.consumer.wake());
    }

    /// To be called after the desk was changed: tells whoever might have to do what comes of it.
    fn changed(&self) {
        self.stir();
        // ORDERING: requests:dutiful: Relaxed; the desk's lock orders it, which both have taken.
        if self.is_dutiful.load(Relaxed) {
            self.wake_consumer();
        }
    }

    /// Sees to it that what is to be done is done, now or when it is time to.
    fn stir(&self) {
        if self.is_due() {
            self.hub.announce();
        }
    }
}

/// One by one, for each may panic.
fn discard_entry<K, E>(entry: Item<K, E>) {
    discard(entry.place.item);
    discard(entry.error);
}

fn exhausted<P, E>(entry: &mut Entry<P, E>) -> Failure<E> {
    match entry.error.take() {
        Some(error) => Failure::RetriesExhausted(error),
        // It has not run at all, and has no end.
        None => Failure::Gap(Gap::Abandoned),
    }
}

impl<I, J, U, E> Home<J::Item, U, E> for Core<I, J, U, E>
where
    I: Iterator + Send + 'static,
    I::Item: Send,
    J: Jobs<I::Item, U, E> + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    fn landed(&self, mut entry: Item<J::Item, E>, dispatch: Dispatch, landing: Landing<U, E>) {
        self.jobs.ended(entry.index);
        let now = now();
        let had_capacity = match &landing {
            Landing::Answered(AttemptOutcome::Done(_)) => Some(true),
            Landing::Answered(AttemptOutcome::Retry { .. }) => Some(false),
            _ => None,
        };
        if let Some(had_capacity) = had_capacity {
            let delay = self.limiter.answered(dispatch, had_capacity);
            lock(&self.desk).note_answer(had_capacity, delay);
        }
        let course = &self.limited.course;
        let overdue = course.overdue(entry.started, Some(now));
        let outcome = match (landing, overdue) {
            (Landing::Answered(AttemptOutcome::Retry { error, after }), None) => {
                discard(entry.error.replace(error));
                let back = lock(&self.desk).again(now, entry, after);
                // If that is because the batch has ended meanwhile, it ends as what waited already.
                back.map(|mut entry| {
                    let stop = course.cancelled().map(Failure::from);
                    (Err(stop.unwrap_or_else(|| exhausted(&mut entry))), entry)
                })
            }
            (landing, None) => Some((outcome(landing, course.cancelled()), entry)),
            (landing, Some(stop)) => {
                if matches!(
                    landing,
                    Landing::Answered(AttemptOutcome::Done(_) | AttemptOutcome::Failed(_))
                ) {
                    course.count_late();
                }
                discard(landing);
                Some((Err(stop.into()), entry))
            }
        };
        if let Some((outcome, entry)) = outcome {
            self.settle(entry, outcome);
        }
        self.changed();
        self.hub.rest();
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn is_over(&self) -> bool {
        lock(&self.desk).is_closed() || self.is_stopped()
    }
}

fn outcome<U, E>(landing: Landing<U, E>, cancelled: Option<crate::policy::Stop>) -> Outcome<U, E> {
    match landing {
        Landing::Answered(AttemptOutcome::Done(value)) => Ok(value),
        Landing::Answered(AttemptOutcome::Failed(error)) => Err(Failure::Failed(error)),
        Landing::Answered(AttemptOutcome::Retry { error, .. }) => {
            Err(Failure::RetriesExhausted(error))
        }
        Landing::Panicked(payload) => Err(Failure::Panicked(Panic::new(payload))),
        Landing::Lost => Err(cancelled.map_or(Failure::Gap(Gap::Abandoned), Failure::from)),
    }
}
