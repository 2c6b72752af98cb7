//! An ordered stream over a lazy source.
//!
//! Whoever has time pulls: one thread at a time takes a few items from the source and a ticket for
//! all of them, lets the next one pull, and runs what it took. `phase` is the right to pull; nobody
//! waits for it.
//!
//! | from | to | by |
//! |---|---|---|
//! | `FLOWING` | `PULLING` | CAS of whoever pulls |
//! | `PULLING` | `FLOWING` | the puller, after it took something |
//! | `PULLING` | `FULL` | the puller, who found the window full |
//! | `PULLING` | `ENDED` | the puller, who found the source at its end, or the stream cancelled |
//! | `FULL` | `FLOWING` | CAS of the consumer that made room, or of the puller that looked again |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arrayvec::ArrayVec;
use reorder_ring::{Producer, Ring, Ticket};

use crate::account::Account;
use crate::chunk::{self, Chunk, Spares};
use crate::cost::Cost;
use crate::extent::Extent;
use crate::failure::{self, Discarded, Failure, Outcome, Panic, contain, discard};
use crate::feed::{Delivered, Feed, Filled, Stop};
use crate::hub::Hub;
use crate::in_place::push;
use crate::limited::Limited;
use crate::pace::paced;
use crate::primitive::{AtomicBool, AtomicU8, AtomicU32, AtomicWaker, Mutex, MutexGuard, fence};
use crate::snapshot::{CallKind, Progress};
use crate::turn::Turn;
use crate::work::{Published, Stream, Work};

mod end;

pub(crate) type ChunkRing<U, E> = Arc<Ring<Chunk<U, E>>>;

const FLOWING: u8 = 0;
const PULLING: u8 = 1;
const FULL: u8 = 2;
const ENDED: u8 = 3;

/// How many items are pulled at once at the most, where they are cheap.
const MOST_AT_ONCE: usize = chunk::MOST;
/// What is pulled lies on the stack. So half as many items of more bytes than this are pulled at once, and only one
/// of more than twice that.
const LARGE: usize = 128;
/// How long it should take to run what was pulled at once. Its outcomes are delivered together.
const TARGET: Duration = Duration::from_micros(10);
/// Items are cheap if a consumer that runs one is late for its head by little more than to be woken takes.
const CHEAP: Duration = Duration::from_micros(50);

pub(crate) struct Core<I: Iterator, U, E, F> {
    job: Discarded<F>,
    ring: Discarded<ChunkRing<U, E>>,
    phase: AtomicU8,
    /// Gone once the stream has ended.
    feed: Discarded<Mutex<Option<Feed<I, U, E>>>>,
    delivered: Delivered,
    spares: Arc<Spares<U, E>>,
    /// How many items the next pull takes, and how many one may.
    at_once: AtomicU32,
    at_most: u32,
    /// What may end it early, if anything may. Then each item has a slot of its own, to be given up alone.
    limited: Option<Arc<Limited>>,
    extent: Extent,
    account: Account,
    cost: Cost,
    /// Whether the source said that it has more.
    promising: AtomicBool,
    cancelled: AtomicBool,
    consumer: AtomicWaker,
}

impl<I, U, E, F> Core<I, U, E, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    /// `share` is how many items one thread should have at once at the most.
    pub(crate) fn new(
        source: I,
        job: F,
        ring: ChunkRing<U, E>,
        producer: Producer<ChunkRing<U, E>>,
        spares: Arc<Spares<U, E>>,
        limited: Option<Arc<Limited>>,
        share: usize,
    ) -> Self {
        Core {
            job: Discarded::new(job),
            ring: Discarded::new(ring),
            phase: AtomicU8::new(FLOWING),
            feed: Discarded::new(Mutex::new(Some(Feed::new(source, producer)))),
            delivered: Delivered::default(),
            spares,
            at_once: AtomicU32::new(1),
            at_most: if limited.is_some() { 1 } else { share.min(MOST_AT_ONCE) as u32 },
            limited,
            extent: Extent::new(),
            account: Account::default(),
            cost: Cost::unknown(),
            promising: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            consumer: AtomicWaker::new(),
        }
    }

    fn feed(&self) -> MutexGuard<'_, Option<Feed<I, U, E>>> {
        // The source runs under this lock, but is caught; a poisoned feed is whole.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls some items and runs them. `false` if there was nothing to pull.
    fn pull_and_run(&self, turn: &Turn<'_>, duty: bool) -> bool {
        match size_of::<I::Item>() {
            0..=LARGE => self.pull_and_run_up_to::<MOST_AT_ONCE>(turn, duty),
            size if size <= 2 * LARGE => {
                self.pull_and_run_up_to::<{ MOST_AT_ONCE / 2 }>(turn, duty)
            }
            _ => self.pull_and_run_up_to::<1>(turn, duty),
        }
    }

    fn pull_and_run_up_to<const MOST: usize>(&self, turn: &Turn<'_>, duty: bool) -> bool {
        if !self.start_pulling() {
            return false;
        }
        if turn.is_searching() {
            // Nobody else has to look: while this one pulls, there is nothing more to claim here.
            turn.claimed(self);
        }
        let mut items = ArrayVec::<_, MOST>::new();
        turn.begins(0, 0);
        let ticket = self.pull(&mut items, duty);
        // Also if nothing came: whoever looked for work meanwhile found that somebody pulls.
        turn.claimed(self);
        let Some((ticket, first)) = ticket else { return false };
        let count = items.len() as u32;
        turn.begins(first, count.into());
        self.run_all(ticket, items.drain(..));
        self.learn(turn, count);
        true
    }

    /// Whether nothing is to be pulled any more, which its consumer may still have to find out.
    fn is_over(&self) -> bool {
        let is_stopped = |it: &Arc<Limited>| it.course.start(it.now()).is_err();
        self.is_cancelled() || self.limited.as_ref().is_some_and(is_stopped)
    }

    fn start_pulling(&self) -> bool {
        // ORDERING: stream:pull: Relaxed; the feed's lock orders all that the puller reads.
        !self.is_over() && self.phase.compare_exchange(FLOWING, PULLING, Relaxed, Relaxed).is_ok()
    }

    /// Pulls items, gives the right to pull up, and returns the ticket of what came and the index of the first.
    fn pull<const MOST: usize>(
        &self,
        items: &mut ArrayVec<I::Item, MOST>,
        duty: bool,
    ) -> Option<(Ticket, u64)> {
        let mut feed = self.feed();
        let (ticket, phase) = match &mut *feed {
            Some(feed) => self.pull_from(feed, items, duty),
            None => (None, ENDED),
        };
        // ORDERING: stream:pulled: Relaxed; within the feed's lock.
        self.phase.store(phase, Relaxed);
        let has_room = phase == FULL && self.look_again(&mut feed);
        let ended = if phase == ENDED { feed.take() } else { None };
        drop(feed);
        match ended {
            Some(feed) => self.end(feed),
            None => self.drop_feed_if_cancelled(),
        }
        if has_room {
            // The consumer that made it found somebody pulling, and may be the one who has to pull now.
            self.wake_consumer();
        }
        ticket
    }

    fn pull_from<const MOST: usize>(
        &self,
        feed: &mut Feed<I, U, E>,
        items: &mut ArrayVec<I::Item, MOST>,
        duty: bool,
    ) -> (Option<(Ticket, u64)>, u8) {
        // ORDERING: stream:at-once: Relaxed; a hint.
        let most = feed.room(self.at_once.load(Relaxed), &self.delivered);
        if most == 0 {
            // A source that says it has no more need not be asked, for which there would have to be room.
            return (None, if feed.is_at_its_end() { ENDED } else { FULL });
        }
        let Filled { promised, stop } = feed.fill(items, most, duty);
        // ORDERING: stream:promise: Relaxed; a hint, asked for again under the feed's lock.
        self.promising.store(promised > 0, Relaxed);
        let mut ticket = None;
        if !items.is_empty() {
            let Ok(reserved) = feed.reserve(items.len()) else {
                // Cancelled: the items have no place any more.
                items.drain(..).for_each(discard);
                return (None, ENDED);
            };
            ticket = Some((reserved, self.extent.pull(items.len())));
        }
        match stop {
            None => (ticket, FLOWING),
            Some(Stop::Ended) => (ticket, ENDED),
            Some(Stop::Panicked(payload)) => {
                self.deliver_source_panic(feed, payload);
                (ticket, ENDED)
            }
        }
    }

    /// To be called after cancelling and after pulling: whoever comes last drops the source, and
    /// neither waits for the other.
    fn drop_feed_if_cancelled(&self) {
        // ORDERING: stream:reap: SeqCst fence, pairs with itself: either the canceller finds the
        // feed unlocked, or the puller that had it locked sees the cancellation.
        fence(SeqCst);
        if !self.is_cancelled() {
            return;
        }
        let feed = match self.feed.try_lock() {
            Ok(mut feed) => feed.take(),
            Err(_) => None,
        };
        if let Some(mut feed) = feed {
            feed.drop_source().into_iter().for_each(discard);
            contain(|| drop(feed));
            self.extent.end();
        }
    }

    /// Room that the consumer made while the window was being declared full would be noticed by
    /// nobody. `true` if there is some.
    fn look_again(&self, feed: &mut Option<Feed<I, U, E>>) -> bool {
        // ORDERING: stream:full: SeqCst fence, pairs with `stream:room`: either the consumer sees
        // `FULL`, or this thread sees its takes.
        fence(SeqCst);
        feed.as_mut().is_some_and(|feed| feed.room(1, &self.delivered) > 0) && self.flow()
    }

    /// From `FULL` to `FLOWING`. `true` if this call did it.
    fn flow(&self) -> bool {
        // ORDERING: stream:flow: Relaxed; the feed's lock orders all that the puller reads.
        self.phase.compare_exchange(FULL, FLOWING, Relaxed, Relaxed).is_ok()
    }

    fn run_all(&self, ticket: Ticket, mut items: impl ExactSizeIterator<Item = I::Item>) {
        let mut outcomes = self.spares.take(items.len());
        let job = &*self.job;
        // One catch for all of them, and one more after each panic, whose item has been taken by then.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
            let left = items.len();
            push(&mut outcomes, left, || items.next().map(job))
        })) {
            outcomes.push(Err(Failure::Panicked(Panic::new(payload))));
        }
        self.complete(ticket, outcomes);
    }

    /// Outcomes that come too late are refused by the ring, and dropped here.
    fn complete(&self, ticket: Ticket, outcomes: Chunk<U, E>) {
        let count = outcomes.len();
        let fails = self.limited.as_ref().filter(|_| outcomes.iter().any(failure::is_its_own));
        let mut refused = None;
        // The consumer's waker may panic. The outcomes are in their place by then.
        contain(|| refused = self.ring.complete(ticket, outcomes).err());
        for outcome in refused.map_or_else(Vec::new, |refused| refused.into_inner()) {
            if let (Some(limited), true) = (&self.limited, failure::is_of_the_job(&outcome)) {
                limited.course.count_late();
            }
            discard(outcome);
        }
        if let Some(limited) = fails {
            // Not before: the consumer would give up on the very item that failed.
            limited.course.fail();
            self.wake_consumer();
        }
        self.extent.finish(count);
    }

    fn wake_consumer(&self) {
        contain(|| self.consumer.wake());
    }

    fn learn(&self, turn: &Turn<'_>, count: u32) {
        let took = turn.lap();
        // ORDERING: stream:learn: Relaxed; a hint.
        self.at_once.store(paced(TARGET, count, took).min(self.at_most), Relaxed);
        self.cost.measured(count, took);
    }
}

impl<I, U, E, F> Work for Core<I, U, E, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    fn turn(&self, turn: &Turn<'_>) -> bool {
        let mut worked = false;
        while self.pull_and_run(turn, true) {
            worked = true;
            if turn.is_over() {
                // A consumer that runs its own stream may have gone to sleep meanwhile.
                self.wake_consumer();
                break;
            }
        }
        worked
    }

    fn claimable(&self) -> bool {
        // ORDERING: stream:claimable: Relaxed; ordered by the fences in `hub`.
        !self.is_over() && self.phase.load(Relaxed) == FLOWING
    }

    fn progress(&self) -> Option<Progress> {
        let (head, pulled) = (self.delivered.get(), self.extent.pulled());
        let waiting = self.extent.finished().saturating_sub(head);
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting })
    }

    fn nudge(&self) {
        self.wake_consumer();
    }

    /// One that was ended early is pulled no further, though its consumer may not have found out.
    fn is_through(&self) -> bool {
        self.extent.is_done() || self.is_over() && self.extent.finished() == self.extent.pulled()
    }
}

impl<I, U, E, F> Published for Core<I, U, E, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    fn account(&self) -> &Account {
        &self.account
    }

    fn is_done(&self) -> bool {
        self.is_through()
    }
}

impl<I, U, E, F> Stream for Core<I, U, E, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    fn help(&self, turn: &Turn<'_>, duty: bool) -> bool {
        self.pull_and_run(turn, duty)
    }

    fn is_quick(&self) -> bool {
        // ORDERING: stream:quick: Relaxed; a hint.
        self.cost.is_below(CHEAP) && self.promising.load(Relaxed)
    }

    fn made_room(&self, hub: &Hub) {
        // ORDERING: stream:room: SeqCst fence, pairs with `stream:full`.
        fence(SeqCst);
        // ORDERING: stream:phase: Relaxed; ordered by the fence.
        if self.phase.load(Relaxed) == FULL && self.flow() {
            hub.announce();
        }
    }

    fn cancel(&self) {
        // ORDERING: stream:cancel: Relaxed; ordered by the fence in `drop_feed_if_cancelled`.
        self.cancelled.store(true, Relaxed);
        self.drop_feed_if_cancelled();
    }

    fn is_cancelled(&self) -> bool {
        // ORDERING: stream:cancelled: Relaxed; a puller that misses it finds the ring cancelled.
        self.cancelled.load(Relaxed)
    }

    fn consumer(&self) -> &AtomicWaker {
        &self.consumer
    }

    fn delivered(&self) -> &Delivered {
        &self.delivered
    }
}

#[cfg(test)]
mod tests;
