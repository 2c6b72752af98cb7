//! An ordered stream over a lazy source: one slot of a ring per item.
//!
//! Whoever has time pulls: one thread at a time takes a few items from the source and a ticket for
//! each, lets the next one pull, and runs what it took. `phase` is the right to pull; nobody waits
//! for it.
//!
//! | from | to | by |
//! |---|---|---|
//! | `FLOWING` | `PULLING` | CAS of whoever pulls |
//! | `PULLING` | `FLOWING` | the puller, after it took something |
//! | `PULLING` | `FULL` | the puller, who found the window full |
//! | `PULLING` | `ENDED` | the puller, who found the source at its end, or the stream cancelled |
//! | `FULL` | `FLOWING` | CAS of the consumer that made room, or of the puller that looked again |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use reorder_ring::{Producer, Ring, Ticket};

use crate::failure::{Discarded, Failure, Outcome, Panic, discard};
use crate::hub::{Hub, Turn};
use crate::work::Work;

pub(crate) type OutcomeRing<U> = Arc<Ring<Outcome<U>>>;

const FLOWING: u8 = 0;
const PULLING: u8 = 1;
const FULL: u8 = 2;
const ENDED: u8 = 3;

/// How many items are pulled at once at the most, where they are cheap.
const MOST_AT_ONCE: usize = 16;
/// Items of more bytes than this are pulled one by one: what is pulled lies on the stack.
const LARGE: usize = 256;
/// Items are cheap if a consumer that runs one would hardly be late for its head.
const CHEAP: Duration = Duration::from_micros(5);

/// What a stream's handle needs of it, whatever its source and its job are.
pub(crate) trait Stream: Work {
    /// Runs one pull of items on the consumer's thread. `false` if nothing was claimable.
    fn help(&self, turn: &Turn<'_>) -> bool;
    /// Whether items were measured to be cheap enough for the consumer to help.
    fn is_cheap(&self) -> bool;
    /// To be called when the consumer has made room, and before it waits.
    fn made_room(&self, hub: &Hub);
    /// Ends the pulling, and drops the source unless somebody is just pulling.
    fn cancel(&self);
    /// Whether that was done.
    fn is_cancelled(&self) -> bool;
    /// Where the consumer leaves its waker while it waits.
    fn consumer(&self) -> &AtomicWaker;
}

pub(crate) struct Core<I: Iterator, U, F> {
    job: Discarded<F>,
    ring: Discarded<OutcomeRing<U>>,
    phase: AtomicU8,
    feed: Discarded<Mutex<Option<Feed<I, U>>>>,
    /// How many items the next pull takes; 0 until any were measured.
    at_once: AtomicU32,
    cheap: AtomicBool,
    cancelled: AtomicBool,
    consumer: AtomicWaker,
}

/// What only the puller touches. Gone once the stream has ended.
struct Feed<I, U> {
    source: I,
    producer: Producer<OutcomeRing<U>>,
}

/// Why a pull stopped before it had as much as it wanted.
enum Stop {
    Full,
    Ended,
}

impl<I, U, F> Core<I, U, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    F: Fn(I::Item) -> U + Send + Sync,
{
    pub(crate) fn new(
        source: I,
        job: F,
        ring: OutcomeRing<U>,
        producer: Producer<OutcomeRing<U>>,
    ) -> Self {
        Core {
            job: Discarded::new(job),
            ring: Discarded::new(ring),
            phase: AtomicU8::new(FLOWING),
            feed: Discarded::new(Mutex::new(Some(Feed { source, producer }))),
            at_once: AtomicU32::new(0),
            cheap: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            consumer: AtomicWaker::new(),
        }
    }

    fn feed(&self) -> MutexGuard<'_, Option<Feed<I, U>>> {
        // The source runs under this lock, but is caught; a poisoned feed is whole.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls some items and runs them. `false` if there was nothing to pull.
    fn pull_and_run(&self, turn: &Turn<'_>) -> bool {
        if size_of::<I::Item>() > LARGE {
            self.pull_and_run_up_to::<1>(turn)
        } else {
            self.pull_and_run_up_to::<MOST_AT_ONCE>(turn)
        }
    }

    fn pull_and_run_up_to<const MOST: usize>(&self, turn: &Turn<'_>) -> bool {
        if !self.start_pulling() {
            return false;
        }
        let mut pulled = [const { None }; MOST];
        // ORDERING: stream:at-once: Relaxed; a hint.
        let count = (self.at_once.load(Relaxed) as usize).clamp(1, MOST);
        let some = self.pull(&mut pulled[..count]);
        if some {
            turn.claimed(self);
        }
        self.run_all(pulled.into_iter().map_while(|item| item));
        some
    }

    fn start_pulling(&self) -> bool {
        // ORDERING: stream:pull: Acquire pairs with `stream:pulled`; the feed has a lock besides.
        !self.is_cancelled()
            && self.phase.compare_exchange(FLOWING, PULLING, Acquire, Relaxed).is_ok()
    }

    /// Fills `room` from the front and gives the right to pull up. `false` if nothing came.
    fn pull(&self, room: &mut [Option<(Ticket, I::Item)>]) -> bool {
        let mut feed = self.feed();
        let mut stop = None;
        let mut some = false;
        for place in room {
            match self.pull_one(&mut feed) {
                Ok(item) => *place = Some(item),
                Err(reason) => {
                    stop = Some(reason);
                    break;
                }
            }
            some = true;
        }
        let phase = match stop {
            None => FLOWING,
            Some(Stop::Full) => FULL,
            Some(Stop::Ended) => ENDED,
        };
        // ORDERING: stream:pulled: Release pairs with `stream:pull`.
        self.phase.store(phase, Release);
        if phase == FULL {
            self.look_again(&mut feed);
        }
        let ended = if phase == ENDED { feed.take() } else { None };
        drop(feed);
        match ended {
            Some(Feed { producer, source }) => self.end(producer, source),
            None => self.drop_feed_if_cancelled(),
        }
        some
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
        if let Some(Feed { source, producer }) = feed {
            discard(source);
            discard_with(|| drop(producer));
        }
    }

    fn pull_one(&self, feed: &mut Option<Feed<I, U>>) -> Result<(Ticket, I::Item), Stop> {
        let Some(Feed { source, producer }) = feed else { return Err(Stop::Ended) };
        if self.is_cancelled() {
            return Err(Stop::Ended);
        }
        if producer.vacancy() == 0 {
            return Err(Stop::Full);
        }
        match catch_unwind(AssertUnwindSafe(|| source.next())) {
            Ok(Some(item)) => match producer.reserve() {
                Ok(ticket) => Ok((ticket, item)),
                // Cancelled: the item has no place any more.
                Err(_) => {
                    discard(item);
                    Err(Stop::Ended)
                }
            },
            Ok(None) => Err(Stop::Ended),
            Err(payload) => {
                self.deliver_source_panic(producer, payload);
                Err(Stop::Ended)
            }
        }
    }

    /// Room that the consumer made while the window was being declared full would be noticed by
    /// nobody.
    fn look_again(&self, feed: &mut Option<Feed<I, U>>) {
        // ORDERING: stream:full: SeqCst fence, pairs with `stream:room`: either the consumer sees
        // `FULL`, or this thread sees its takes.
        fence(SeqCst);
        if feed.as_mut().is_some_and(|feed| feed.producer.vacancy() > 0) {
            self.flow();
        }
    }

    /// From `FULL` to `FLOWING`. `true` if this call did it.
    fn flow(&self) -> bool {
        // ORDERING: stream:flow: Relaxed; the feed's lock orders all that the puller reads.
        self.phase.compare_exchange(FULL, FLOWING, Relaxed, Relaxed).is_ok()
    }

    /// The last position of the stream says that the source panicked. There is room for it: the
    /// source was asked for an item because there was.
    fn deliver_source_panic(
        &self,
        producer: &mut Producer<OutcomeRing<U>>,
        payload: Box<dyn std::any::Any + Send>,
    ) {
        match producer.reserve() {
            Ok(ticket) => self.complete(ticket, Err(Failure::SourcePanicked(Panic::new(payload)))),
            Err(_) => discard(payload),
        }
    }

    /// Drops the source before the end is declared, so that a consumer which sees the end sees
    /// whatever the source's `Drop` does, also its panic if there is room to tell.
    fn end(&self, mut producer: Producer<OutcomeRing<U>>, source: I) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(source))) {
            self.deliver_source_panic(&mut producer, payload);
        }
        // Closing the ring may drop undelivered values.
        discard_with(|| producer.finish());
    }

    fn run_all(&self, items: impl Iterator<Item = (Ticket, I::Item)>) {
        let started = Instant::now();
        let mut count = 0;
        for (ticket, item) in items {
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.job)(item)));
            let outcome = outcome.map_err(|payload| Failure::Panicked(Panic::new(payload)));
            self.complete(ticket, outcome);
            count += 1;
        }
        if count > 0 {
            self.learn(count, started.elapsed());
        }
    }

    /// A result that comes too late is refused by the ring, and dropped here.
    fn complete(&self, ticket: Ticket, outcome: Outcome<U>) {
        if let Err(refused) = self.ring.complete(ticket, outcome) {
            discard(refused.into_inner());
        }
    }

    fn learn(&self, count: u32, took: Duration) {
        let each = took / count;
        let more = if each < CHEAP { (count * 2).min(MOST_AT_ONCE as u32) } else { 1 };
        // ORDERING: stream:learn: Relaxed; hints.
        self.at_once.store(more, Relaxed);
        self.cheap.store(each < CHEAP, Relaxed);
    }
}

fn discard_with(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        discard(payload);
    }
}

impl<I, U, F> Work for Core<I, U, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    F: Fn(I::Item) -> U + Send + Sync,
{
    fn turn(&self, turn: &Turn<'_>) -> bool {
        let mut worked = false;
        while self.pull_and_run(turn) {
            worked = true;
            if turn.is_over() {
                // A consumer that runs its own stream may have gone to sleep meanwhile.
                self.consumer.wake();
                break;
            }
        }
        worked
    }

    fn claimable(&self) -> bool {
        // ORDERING: stream:claimable: Relaxed; ordered by the fences in `hub`.
        !self.is_cancelled() && self.phase.load(Relaxed) == FLOWING
    }

    fn nudge(&self) {
        self.consumer.wake();
    }
}

impl<I, U, F> Stream for Core<I, U, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    F: Fn(I::Item) -> U + Send + Sync,
{
    fn help(&self, turn: &Turn<'_>) -> bool {
        self.pull_and_run(turn)
    }

    fn is_cheap(&self) -> bool {
        // ORDERING: stream:cheap: Relaxed; a hint.
        self.cheap.load(Relaxed)
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
}
