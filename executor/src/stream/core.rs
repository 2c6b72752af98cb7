//! The producing side of a stream over a lazy source.
//!
//! Any thread that has time pulls. One thread at a time takes a chunk of items from the source and
//! a ring position for the chunk. It then lets the next thread pull, and runs the chunk. `io::pull`
//! has the state machine of the right to pull.

use std::any::Any;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::cost::NextChunk;
use crate::io::{
    Delivered, Handover, LazySource, OrderedOutput, OrderedSource, OutputProducer, OutputTicket,
    Overdue, PullBuffer, PullLock, SourceEnd, TakeItems, chunk, never_blocks,
};
use crate::outcome::{Failure, Outcome, Stop};
use crate::primitive::{AtomicBool, AtomicWaker, fence};
use crate::scheduler::{
    CallKind, FairShare, Look, Progress, Published, Scheduler, TimeSlice, Work,
};
use crate::stream::backlog::{Backlog, Reserved};
use crate::stream::parked::Parked;
use crate::stream::progress::StreamProgress;
use crate::stream::work::{Helper, Skip, StreamWork};
use crate::unwind::{DiscardOnDrop, discard};

/// The maximum number of bytes of the items of one pull, which lie on the stack. A pull takes one
/// item if items have more than 256 bytes.
const LARGE: usize = 32 * 1024;
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
type Source<P> = LazySource<<P as Parts>::Source>;
type Tickets<P> = OutputProducer<<P as Parts>::Value, <P as Parts>::Error>;
type Handed<P> = Handover<Item<P>, Option<Tickets<P>>>;
type Output<P> = OrderedOutput<<P as Parts>::Value, <P as Parts>::Error>;

pub(crate) struct Core<P: Parts> {
    job: DiscardOnDrop<P::Job>,
    output: Output<P>,
    /// `None` once the stream has ended.
    source: CachePadded<DiscardOnDrop<PullLock<Option<Source<P>>>>>,
    /// The number of items that the next pull takes. It is 1 again after items had to wait for the
    /// source.
    next_chunk: NextChunk,
    /// The items of the present pull, and the right to reserve positions, until the stream ends.
    handover: CachePadded<DiscardOnDrop<Handed<P>>>,
    /// Chunks that were pulled for other threads, so that the consumer need not pull.
    backlog: Backlog<Item<P>>,
    /// The items that wait for earlier items of their key.
    parked: Parked<Item<P>>,
    progress: StreamProgress,
    fair_share: FairShare,
    /// `true` if the source promised more items.
    promising: AtomicBool,
    /// `true` if the source is known to run no user code. Then a consumer may pull it.
    never_blocks: bool,
    /// `true` if the consumer is a worker, which runs items while it waits.
    has_helping_worker: AtomicBool,
    cancelled: AtomicBool,
}

/// The result of a search for something to run.
enum Claim {
    Nothing,
    /// An item that waits for earlier items of its key. The thread looks for the next one.
    Parked,
    /// An item whose key is unknown, because the function that returns it has panicked.
    NoKey(OutputTicket, Box<dyn Any + Send>),
    /// Items to run.
    Items(Reserved),
}

impl Claim {
    fn items(reserved: Option<Reserved>) -> Claim {
        reserved.map_or(Claim::Nothing, Claim::Items)
    }
}

impl<P: Parts> Core<P> {
    pub(crate) fn new(
        source: LazySource<P::Source>,
        job: P::Job,
        producer: OutputProducer<P::Value, P::Error>,
        output: Output<P>,
        max_chunk: usize,
        fair_share: FairShare,
    ) -> Self {
        Core {
            job: DiscardOnDrop::new(job),
            output,
            source: CachePadded::new(DiscardOnDrop::new(PullLock::new(Some(source)))),
            next_chunk: NextChunk::new(max_chunk.min(chunk::MOST)),
            handover: CachePadded::new(DiscardOnDrop::new(Handover::new(Some(producer)))),
            backlog: Backlog::new(),
            parked: Parked::new(),
            progress: StreamProgress::new(),
            fair_share,
            promising: AtomicBool::new(false),
            never_blocks: never_blocks::<P::Source>(),
            has_helping_worker: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Runs a chunk: of the backlog, of a blocked puller, or pulled by this thread.
    ///
    /// Returns `false` if there was nothing to claim.
    fn claim_and_run(&self, slice: &TimeSlice<'_>, helper: Option<Helper>) -> bool {
        match size_of::<Item<P>>().next_power_of_two() {
            0..=64 => self.claim_and_run_up_to::<{ LARGE / 64 }>(slice, helper),
            128 => self.claim_and_run_up_to::<{ LARGE / 128 }>(slice, helper),
            256 => self.claim_and_run_up_to::<{ LARGE / 256 }>(slice, helper),
            _ => self.claim_and_run_up_to::<1>(slice, helper),
        }
    }

    fn claim_and_run_up_to<const MOST: usize>(
        &self,
        slice: &TimeSlice<'_>,
        helper: Option<Helper>,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        if let Some((reserved, mut items)) = self.backlog.pop() {
            slice.claimed(self);
            self.run(slice, reserved, &mut items.drain(..));
            self.backlog.put_back(items);
            return true;
        }
        let mut items = PullBuffer::<_, MOST>::new();
        let claim = if self.handover.is_claimable() {
            Claim::items(self.take_over(slice, &mut items))
        } else if helper == Some(Helper::Volunteer) && !self.never_blocks {
            Claim::Nothing
        } else {
            self.pull(slice, &mut items, helper)
        };
        let reserved = match claim {
            Claim::Items(reserved) => reserved,
            Claim::Nothing => return false,
            Claim::Parked => {
                slice.measure();
                return slice.reenter();
            }
            Claim::NoKey(ticket, payload) => {
                items.for_each(discard);
                self.output.complete_one(ticket, Err(Failure::panicked(payload)));
                self.progress.finish(1);
                return slice.reenter();
            }
        };
        if !slice.enter() {
            self.leave_to_others(reserved, &mut items);
            return slice.reenter();
        }
        self.run(slice, reserved, &mut items);
        true
    }

    /// Leaves a chunk to the threads that have passed the gate while this one was inside the
    /// source.
    fn leave_to_others(&self, reserved: Reserved, items: impl Iterator<Item = Item<P>>) {
        let ticket = reserved.ticket;
        let refused = self.backlog.push(reserved, |into| into.extend(items));
        self.refuse_in_backlog(ticket, refused);
    }

    /// Runs a chunk.
    fn run(
        &self,
        slice: &TimeSlice<'_>,
        reserved: Reserved,
        items: &mut impl TakeItems<Item = Item<P>>,
    ) {
        let count = items.len() as u32;
        slice.note_running(reserved.first, count.into());
        let has_opened = self.output.run_all(reserved.ticket, items, &*self.job);
        self.progress.finish(count as usize);
        if has_opened {
            self.leave_opened(slice.scheduler);
        }
        self.next_chunk.learn(count, slice.measure());
        if self.output.delivered.budget().is_some() {
            // The job may have made its item lighter.
            self.notify_space(slice.scheduler);
        }
    }

    /// Drops items that came after the stream was cancelled.
    fn refuse(&self, items: Vec<Item<P>>) {
        self.progress.finish(items.len());
        items.into_iter().for_each(discard);
    }

    /// Drops items that the backlog refused, because the stream has ended. The consumer may still
    /// wait for their outcome.
    fn refuse_in_backlog(&self, ticket: OutputTicket, refused: Option<Vec<Item<P>>>) {
        let Some(refused) = refused else { return };
        let stop = self.output.ended_by().unwrap_or(Stop::Cancelled { cause: None });
        self.output.complete_one(ticket, Err(stop.into()));
        self.refuse(refused);
    }

    /// Gives a failure to each item that waits for a thread, because the stream ends early. No
    /// thread runs these items any more, and the consumer takes an outcome of each.
    fn fail_unstarted(&self, stop: Stop) {
        for (reserved, items) in self.backlog.close_and_take() {
            // The stream has limits, so a chunk has one item.
            self.fair_share.span.skipped(self.fair_share.id(), reserved.first, &stop);
            self.output.complete_one(reserved.ticket, Err(stop.into()));
            self.refuse(items);
        }
        self.stop_keys(stop);
    }

    /// Claims the items of a puller that is blocked in the source.
    fn take_over<const MOST: usize>(
        &self,
        slice: &TimeSlice<'_>,
        items: &mut PullBuffer<Item<P>, MOST>,
    ) -> Option<Reserved> {
        let most = self.next_chunk.size() as usize;
        let mut producer = self.handover.take_over(items, most)?;
        let reserved = self.reserve(&mut producer, items.len());
        drop(producer);
        slice.claimed(self);
        if reserved.is_none() {
            // The stream was cancelled, and the items have no position any more.
            items.for_each(discard);
        }
        reserved
    }

    /// Reserves the position of `count` items. Fails if the consumer has gone.
    fn reserve(&self, producer: &mut Option<Tickets<P>>, count: usize) -> Option<Reserved> {
        let ticket = producer.as_mut()?.reserve(self.progress.pulled())?;
        Some(Reserved { ticket, first: self.progress.pull(count) })
    }

    /// Returns `true` if nothing is pulled any more. The consumer may still have to find that out.
    fn is_over(&self) -> bool {
        self.is_cancelled() || self.output.is_ended_early()
    }

    /// Returns `true` if a thread could claim items that were pulled.
    fn has_pulled(&self) -> bool {
        !self.backlog.is_empty() || self.handover.is_claimable()
    }

    fn deliver_source_panic(&self, ticket: OutputTicket, failure: Failure<P::Error>) {
        self.progress.pull(1);
        self.output.complete_one(ticket, Err(failure));
        self.progress.finish(1);
    }

    /// Drops the source and declares the end.
    fn finish(&self, source: Source<P>, end: Option<SourceEnd>) {
        let producer = self.handover.claims().take();
        if let Some(producer) = producer {
            let mut source = OrderedSource::new(source, producer);
            if let Some(SourceEnd::Panicked(payload)) = end {
                let panic = source.reserve_panic(self.progress.pulled(), payload);
                panic
                    .into_iter()
                    .for_each(|(ticket, fail)| self.deliver_source_panic(ticket, fail));
            }
            let index = self.progress.pulled();
            source.finish(index, |ticket, failure| self.deliver_source_panic(ticket, failure));
        }
        self.progress.end();
    }

    fn set_cancelled(&self) {
        // ORDERING: stream:cancel: Relaxed; ordered by the fence in `drop_source_if_cancelled`.
        self.cancelled.store(true, Relaxed);
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
            let producer = self.handover.claims().take();
            if let Some(producer) = producer {
                OrderedSource::new(source, producer).abandon();
            }
            self.progress.end();
        }
    }
}

impl<P: Parts> Work for Core<P> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let mut worked = false;
        while self.claim_and_run(slice, None) {
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
        !self.is_over() && (self.source.is_open() || self.has_pulled())
    }

    fn look_at_source(&self) -> Look {
        self.handover.look()
    }

    fn progress(&self) -> Option<Progress> {
        let (head, pulled) = (self.output.delivered.get(), self.progress.pulled());
        let waiting = self.progress.finished().saturating_sub(head);
        let failed = Some(self.output.delivered.failed());
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting, failed })
    }

    fn notify(&self) {
        self.output.wake_consumer();
    }

    /// A stream that was ended early is pulled no further, although its consumer may not have found
    /// out.
    fn is_done(&self) -> bool {
        let has_run_pulled = || {
            let waiting = (self.parked.len() + self.backlog.items()) as u64;
            self.progress.finished() + waiting == self.progress.pulled()
        };
        self.progress.is_done() || self.is_over() && has_run_pulled()
    }
}

impl<P: Parts> Published for Core<P> {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }
}

impl<P: Parts> StreamWork for Core<P> {
    fn help(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool {
        if helper == Helper::Worker {
            // ORDERING: stream:helping_worker: Relaxed; a hint.
            self.has_helping_worker.store(true, Relaxed);
        }
        self.claim_and_run(slice, Some(helper))
    }

    fn helps(&self, helper: Helper) -> bool {
        !self.is_over() && (self.has_pulled() || self.source.is_open() && self.may_pull(helper))
    }

    fn is_cheap(&self) -> bool {
        // ORDERING: stream:cheap: Relaxed; a hint.
        self.next_chunk.is_below(CHEAP) && self.promising.load(Relaxed)
    }

    fn notify_space(&self, scheduler: &Scheduler) {
        // ORDERING: stream:space: SeqCst fence, pairs with `stream:full`.
        fence(SeqCst);
        // First the line that the consumer has, and not the line of the pullers.
        let is_full = self.output.delivered.is_awaited() && self.source.is_full();
        if is_full && self.budget_has_room() && self.source.reopen() {
            scheduler.idle.notify_work();
        }
    }

    fn set_window(&self, items: usize, scheduler: &Scheduler) -> usize {
        let items = self.output.set_window(items);
        self.notify_space(scheduler);
        items
    }

    fn cancel(&self) {
        self.set_cancelled();
        self.progress.finish(self.backlog.close());
        if let Some(keys) = self.output.keys() {
            keys.close();
            self.refuse(self.parked.take_all());
        }
        self.drop_source_if_cancelled();
    }

    fn stop(&self, stop: Stop) {
        self.set_cancelled();
        self.fail_unstarted(stop);
        self.drop_source_if_cancelled();
    }

    fn skip(&self, _index: u64, stop: Stop) -> Skip {
        match self.output.keys() {
            Some(_) => Skip::Stopped(self.stop_keys(stop)),
            None => Skip::Evict,
        }
    }

    fn is_by_key(&self) -> bool {
        self.output.keys().is_some()
    }

    fn give_up_overdue(&self) -> Overdue {
        self.output.give_up_overdue(|ticket, stop| self.output.give_up(ticket, stop))
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

mod by_key;
mod pull;
#[cfg(test)]
mod tests;
