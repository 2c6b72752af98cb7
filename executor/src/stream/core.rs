//! The producing side of a stream over a lazy source.
//!
//! Any thread that has time pulls. One thread at a time takes a chunk of items from the source and
//! a ring position for the chunk. It then lets the next thread pull, and runs the chunk. `io::pull`
//! has the state machine of the right to pull.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use arrayvec::ArrayVec;
use reorder_ring::{Producer, Ticket};

use crate::cost::{AverageCost, chunk_size};
use crate::io::{
    Chunk, ChunkRing, Delivered, Filled, OrderedOutput, OrderedSource, Phase, PullLock, SourceEnd,
    chunk, push_reserved,
};
use crate::outcome::{Failure, Outcome, Panic};
use crate::primitive::{AtomicBool, AtomicU32, AtomicWaker, fence};
use crate::scheduler::{CallKind, FairShare, Progress, Published, Scheduler, TimeSlice, Work};
use crate::stream::progress::StreamProgress;
use crate::stream::work::StreamWork;
use crate::unwind::{DiscardOnDrop, discard};

/// The maximum number of items that one pull takes.
const MOST_AT_ONCE: usize = chunk::MOST;
/// The size in bytes up to which a pull takes [`MOST_AT_ONCE`] items. Pulled items lie on the
/// stack. A pull takes half as many of larger items, and one of items over twice this size.
const LARGE: usize = 128;
/// The time that running a chunk should take. Its outcomes are delivered together.
const TARGET: Duration = Duration::from_micros(10);
/// The cost below which items are cheap. A consumer that runs a cheap item is late for its head by
/// little more than a wake-up takes.
const CHEAP: Duration = Duration::from_micros(50);

/// The types of a stream, with their bounds.
pub(crate) trait Parts {
    type Source: Iterator<Item: Send> + Send;
    type Value: Send;
    type Error: Send;
    type Job: Fn(<Self::Source as Iterator>::Item) -> Outcome<Self::Value, Self::Error>
        + Send
        + Sync;
}

/// The parts of a stream with source `I`, values `U`, errors `E` and job `F`.
impl<I, U, E, F> Parts for (I, U, E, F)
where
    I: Iterator<Item: Send> + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    type Source = I;
    type Value = U;
    type Error = E;
    type Job = F;
}

type Item<P> = <<P as Parts>::Source as Iterator>::Item;
type Source<P> = OrderedSource<<P as Parts>::Source, <P as Parts>::Value, <P as Parts>::Error>;
type Output<P> = OrderedOutput<<P as Parts>::Value, <P as Parts>::Error>;

pub(crate) struct Core<P: Parts> {
    job: DiscardOnDrop<P::Job>,
    output: Output<P>,
    /// `None` once the stream has ended.
    source: DiscardOnDrop<PullLock<Option<Source<P>>>>,
    /// The number of items that the next pull takes, up to `max_chunk`.
    next_chunk: AtomicU32,
    max_chunk: u32,
    progress: StreamProgress,
    fair_share: FairShare,
    cost: AverageCost,
    /// `true` if the source promised more items.
    promising: AtomicBool,
    cancelled: AtomicBool,
}

/// A chunk of items that has a position in the ring.
struct Reserved {
    ticket: Ticket,
    /// The index of the first item.
    first: u64,
}

impl<P: Parts> Core<P> {
    pub(crate) fn new(
        source: P::Source,
        job: P::Job,
        producer: Producer<ChunkRing<P::Value, P::Error>>,
        output: Output<P>,
        max_chunk: usize,
    ) -> Self {
        let source = OrderedSource::new(source, producer);
        Core {
            job: DiscardOnDrop::new(job),
            output,
            source: DiscardOnDrop::new(PullLock::new(Some(source))),
            next_chunk: AtomicU32::new(1),
            max_chunk: max_chunk.min(MOST_AT_ONCE) as u32,
            progress: StreamProgress::new(),
            fair_share: FairShare::default(),
            cost: AverageCost::unknown(),
            promising: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Pulls a chunk of items and runs it. Returns `false` if there was nothing to pull.
    fn pull_and_run(&self, slice: &TimeSlice<'_>, may_block: bool) -> bool {
        match size_of::<Item<P>>() {
            0..=LARGE => self.pull_and_run_up_to::<MOST_AT_ONCE>(slice, may_block),
            size if size <= 2 * LARGE => {
                self.pull_and_run_up_to::<{ MOST_AT_ONCE / 2 }>(slice, may_block)
            }
            _ => self.pull_and_run_up_to::<1>(slice, may_block),
        }
    }

    fn pull_and_run_up_to<const MOST: usize>(
        &self,
        slice: &TimeSlice<'_>,
        may_block: bool,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        let Some(puller) = self.source.try_start() else { return false };
        if slice.is_searching() {
            // No other thread has to look: while this one pulls, nothing more is claimable here.
            slice.claimed(self);
        }
        let mut items = ArrayVec::<_, MOST>::new();
        slice.note_pulling();
        let mut pulled = puller.lock();
        let (reserved, phase) = self.pull(&mut pulled.state, &mut items, may_block);
        pulled.release(phase);
        let has_space = phase == Phase::Full && self.look_again(&mut pulled.state);
        let ended = if phase == Phase::Ended { pulled.state.take() } else { None };
        drop(pulled);
        match ended {
            Some(source) => self.finish(source),
            None => self.drop_source_if_cancelled(),
        }
        if has_space {
            // The consumer that made the space found a thread pulling. It may have to pull now.
            self.output.wake_consumer();
        }
        // Also if nothing came: a worker that looked meanwhile found this thread pulling.
        slice.claimed(self);
        let Some(Reserved { ticket, first }) = reserved else { return false };
        let count = items.len() as u32;
        slice.note_running(first, count.into());
        self.run_all(ticket, items.drain(..));
        self.learn(slice, count);
        true
    }

    /// Returns `true` if nothing is pulled any more. The consumer may still have to find that out.
    fn is_over(&self) -> bool {
        self.is_cancelled() || self.output.is_ended_early()
    }

    /// Pulls items and reserves their position. Also returns the phase that the puller leaves.
    fn pull<const MOST: usize>(
        &self,
        source: &mut Option<Source<P>>,
        items: &mut ArrayVec<Item<P>, MOST>,
        may_block: bool,
    ) -> (Option<Reserved>, Phase) {
        let Some(source) = source else { return (None, Phase::Ended) };
        // ORDERING: stream:next_chunk: Relaxed; a hint.
        let wanted = self.next_chunk.load(Relaxed);
        let most = source.free_space(wanted, &self.output.delivered);
        if most == 0 {
            // A source that says it has no more need not be asked. Asking would need space.
            let phase = if source.is_exhausted() { Phase::Ended } else { Phase::Full };
            return (None, phase);
        }
        let Filled { promised, end } = source.fill(items, most, may_block);
        // ORDERING: stream:promise: Relaxed; a hint, asked for again by the next puller.
        self.promising.store(promised > 0, Relaxed);
        let mut reserved = None;
        if !items.is_empty() {
            let Ok(ticket) = source.reserve(items.len()) else {
                // The stream was cancelled, and the items have no position any more.
                items.drain(..).for_each(discard);
                return (None, Phase::Ended);
            };
            reserved = Some(Reserved { ticket, first: self.progress.pull(items.len()) });
        }
        match end {
            None => (reserved, Phase::Open),
            Some(SourceEnd::Exhausted) => (reserved, Phase::Ended),
            Some(SourceEnd::Panicked(payload)) => {
                if let Some((ticket, failure)) = source.reserve_panic(payload) {
                    self.deliver_source_panic(ticket, failure);
                }
                (reserved, Phase::Ended)
            }
        }
    }

    fn deliver_source_panic(&self, ticket: Ticket, failure: Failure<P::Error>) {
        self.progress.pull(1);
        self.output.complete_one(ticket, Err(failure));
        self.progress.finish(1);
    }

    /// Drops the source and declares the end.
    fn finish(&self, source: Source<P>) {
        source.finish(|ticket, failure| self.deliver_source_panic(ticket, failure));
        self.progress.end();
    }

    /// Drops the source if the stream was cancelled.
    ///
    /// Both the canceller and the puller call this, and the last of them drops the source. Neither
    /// waits for the other.
    fn drop_source_if_cancelled(&self) {
        // ORDERING: stream:reap: SeqCst fence, pairs with itself: either the canceller finds the
        // source unlocked, or the puller that had it locked sees the cancellation.
        fence(SeqCst);
        if !self.is_cancelled() {
            return;
        }
        let source = self.source.try_lock().and_then(|mut source| source.take());
        if let Some(source) = source {
            source.abandon();
            self.progress.end();
        }
    }

    /// Looks for space once more after the phase became `FULL`, and reopens it if there is some.
    ///
    /// No other thread would notice space that the consumer made just before. Returns `true` if
    /// this thread reopened the phase.
    fn look_again(&self, source: &mut Option<Source<P>>) -> bool {
        // ORDERING: stream:full: SeqCst fence, pairs with `stream:space`: either the consumer sees
        // `FULL`, or this thread sees its takes.
        fence(SeqCst);
        let output = &self.output;
        source.as_mut().is_some_and(|source| source.free_space(1, &output.delivered) > 0)
            && self.source.reopen()
    }

    fn run_all(&self, ticket: Ticket, mut items: impl ExactSizeIterator<Item = Item<P>>) {
        let mut outcomes: Chunk<P::Value, P::Error> = self.output.chunk(items.len());
        let count = items.len();
        let job = &*self.job;
        // One catch for all items, and one more after each panic, whose item has been taken by
        // then.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
            let left = items.len();
            push_reserved(&mut outcomes, left, || items.next().map(job))
        })) {
            outcomes.push(Err(Failure::Panicked(Panic::new(payload))));
        }
        self.output.complete(ticket, outcomes);
        self.progress.finish(count);
    }

    /// Computes the size of the next chunk from the time that this one took.
    fn learn(&self, slice: &TimeSlice<'_>, count: u32) {
        let took = slice.measure();
        // ORDERING: stream:learn: Relaxed; a hint.
        self.next_chunk.store(chunk_size(TARGET, count, took).min(self.max_chunk), Relaxed);
        self.cost.record(count, took);
    }
}

impl<P: Parts> Work for Core<P> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let mut worked = false;
        while self.pull_and_run(slice, true) {
            worked = true;
            if slice.is_over() {
                // A consumer that runs its own stream may have gone to sleep meanwhile.
                self.output.wake_consumer();
                break;
            }
        }
        worked
    }

    fn claimable(&self) -> bool {
        !self.is_over() && self.source.is_open()
    }

    fn progress(&self) -> Option<Progress> {
        let (head, pulled) = (self.output.delivered.get(), self.progress.pulled());
        let waiting = self.progress.finished().saturating_sub(head);
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting })
    }

    fn notify(&self) {
        self.output.wake_consumer();
    }

    /// A stream that was ended early is pulled no further, although its consumer may not have found
    /// out.
    fn is_done(&self) -> bool {
        let has_run_pulled = || self.progress.finished() == self.progress.pulled();
        self.progress.is_done() || self.is_over() && has_run_pulled()
    }
}

impl<P: Parts> Published for Core<P> {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }
}

impl<P: Parts> StreamWork for Core<P> {
    fn help(&self, slice: &TimeSlice<'_>, must_run: bool) -> bool {
        self.pull_and_run(slice, must_run)
    }

    fn is_cheap(&self) -> bool {
        // ORDERING: stream:cheap: Relaxed; a hint.
        self.cost.is_below(CHEAP) && self.promising.load(Relaxed)
    }

    fn notify_space(&self, scheduler: &Scheduler) {
        // ORDERING: stream:space: SeqCst fence, pairs with `stream:full`.
        fence(SeqCst);
        if self.source.is_full() && self.source.reopen() {
            scheduler.idle.notify_work();
        }
    }

    fn cancel(&self) {
        // ORDERING: stream:cancel: Relaxed; ordered by the fence in `drop_source_if_cancelled`.
        self.cancelled.store(true, Relaxed);
        self.drop_source_if_cancelled();
    }

    fn is_cancelled(&self) -> bool {
        // ORDERING: stream:cancelled: Relaxed; a puller that misses it finds the ring cancelled.
        self.cancelled.load(Relaxed)
    }

    fn consumer(&self) -> &AtomicWaker {
        &self.output.consumer
    }

    fn delivered(&self) -> &Delivered {
        &self.output.delivered
    }
}

#[cfg(test)]
mod tests;
