//! The items of a queue, and the part of the workers.
//!
//! Items wait in the order in which they were sent. A worker takes the items of its next chunk, and
//! reserves a position of the ring for them under the same lock. So positions have the order of the
//! items. In a queue with limits, and before a reserved place, items get their positions earlier.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::cost::NextChunk;
use crate::io::{Delivered, OrderedOutput, OutputProducer, OutputTicket, chunk};
use crate::limits::{Budget, LimitState, TaskTimer};
use crate::observe::CallSpan;
use crate::outcome::{Outcome, Stop};
use crate::primitive::{AtomicBool, AtomicU64, AtomicUsize, AtomicWaker, Mutex, MutexGuard, lock};
use crate::queue::room::{Offer, Room, Wanted};
use crate::scheduler::{
    CallKind, ConcurrencyLimit, FairShare, Gate, Progress, Published, Scheduler, TimeSlice, Work,
};
use crate::stream::backlog::Reserved;
use crate::stream::progress::StreamProgress;
use crate::stream::{Helper, StreamWork};
use crate::unwind::{DiscardOnDrop, discard};

/// The cost below which the consumer runs items as well.
const CHEAP: Duration = Duration::from_micros(50);

/// The job of a queue. It gets the index of the item as well.
pub(crate) type QueueJob<T, U, E> = Box<dyn Fn(u64, T) -> Outcome<U, E> + Send + Sync>;

/// Returns the weight of an item.
pub(crate) type Weigh<T> = Box<dyn Fn(&T) -> u64 + Send + Sync>;

pub(crate) struct QueueCore<T, U, E> {
    job: DiscardOnDrop<QueueJob<T, U, E>>,
    /// `None` if the queue has no budget.
    weigh: DiscardOnDrop<Option<Weigh<T>>>,
    pub(super) output: OrderedOutput<U, E>,
    pub(super) limits: Option<Arc<LimitState>>,
    state: DiscardOnDrop<Mutex<State<T, U, E>>>,
    /// The number of items that wait for a worker, readable without the lock.
    waiting: AtomicUsize,
    /// The number of items and places that were sent, readable without the lock.
    sent: AtomicU64,
    /// The number of items and places that were sent, plus the number of ready sinks. A waiting
    /// sender reads this number alone.
    admitted: AtomicU64,
    /// The number of places that were reserved and are not completed.
    open_places: AtomicUsize,
    pub(super) room: Room,
    next_chunk: NextChunk,
    progress: StreamProgress,
    fair_share: FairShare,
    cancelled: AtomicBool,
    /// `true` if the consumer runs items, because no other thread may be there to run them.
    consumer_must_run: AtomicBool,
    pub(super) scheduler: Arc<Scheduler>,
}

struct State<T, U, E> {
    /// `None` once all senders, or the consumer, have gone.
    producer: Option<OutputProducer<U, E>>,
    items: VecDeque<T>,
    /// The first chunks of items: the position of each chunk, and its number of items.
    positions: VecDeque<(Reserved, usize)>,
    /// The number of items that have a position.
    positioned: usize,
    /// Empty vectors that are used again.
    spares: Vec<Vec<T>>,
    senders: usize,
}

/// The reason why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSent {
    Full,
    Closed,
}

impl<T: Send, U: Send, E: Send> QueueCore<T, U, E> {
    pub(crate) fn new(
        job: QueueJob<T, U, E>,
        producer: OutputProducer<U, E>,
        output: OrderedOutput<U, E>,
        limits: Option<Arc<LimitState>>,
        max_chunk: usize,
        concurrency: Option<&ConcurrencyLimit>,
        scheduler: Arc<Scheduler>,
    ) -> Self {
        let gate = concurrency.map(|limit| Gate::new(limit, &scheduler.idle));
        let state = State {
            producer: Some(producer),
            items: VecDeque::new(),
            positions: VecDeque::new(),
            positioned: 0,
            spares: Vec::new(),
            senders: 1,
        };
        QueueCore {
            job: DiscardOnDrop::new(job),
            weigh: DiscardOnDrop::new(None),
            output,
            limits,
            state: DiscardOnDrop::new(Mutex::new(state)),
            waiting: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            open_places: AtomicUsize::new(0),
            room: Room::default(),
            next_chunk: NextChunk::new(max_chunk.min(chunk::MOST)),
            progress: StreamProgress::new(),
            fair_share: FairShare::new(gate, CallSpan::queue()),
            cancelled: AtomicBool::new(false),
            consumer_must_run: AtomicBool::new(false),
            scheduler,
        }
    }

    /// Sets the weights of items, for the budget of the output.
    pub(crate) fn with_weights(mut self, weigh: Option<Weigh<T>>) -> Self {
        *self.weigh = weigh;
        self
    }

    /// Weighs an item. The weight is `None` if the queue has no budget.
    ///
    /// Runs user code. If it panics, a panic in the `Drop` of the item is caught.
    pub(super) fn weigh(&self, item: T) -> (T, Option<u64>) {
        let Some(weigh) = &*self.weigh else { return (item, None) };
        let item = DiscardOnDrop::new(item);
        let weight = weigh(&item);
        (item.into_inner(), Some(weight))
    }

    fn budget(&self) -> Option<&Budget> {
        self.output.delivered.budget().map(|budget| &**budget)
    }

    /// Returns the number of items that can be sent now.
    pub(super) fn free(&self) -> usize {
        // ORDERING: queue:admitted: Relaxed; changed under the lock, or a guess of the consumer.
        let outstanding = self.admitted.load(Relaxed).saturating_sub(self.output.delivered.get());
        self.output.window().saturating_sub(outstanding as usize)
    }

    /// Returns the room that a thread wants when it begins to wait.
    pub(super) fn patient_room(&self, weight: Option<u64>) -> Wanted {
        // The sender knows the weight of one item only.
        let items = if self.budget().is_some() { 1 } else { self.output.window() / 4 };
        Wanted { items, weight }
    }

    /// Returns `true` if a sender that has registered for this room should look again. Otherwise
    /// other senders may use the room.
    pub(super) fn may_send(&self, wanted: Wanted) -> bool {
        let Wanted { items, weight } = wanted;
        let fits = || weight.is_none_or(|it| self.budget().is_none_or(|budget| budget.fits(it)));
        let may_send = self.is_over() || self.free() >= items.max(1) && fits();
        if !may_send {
            self.notify_room();
        }
        may_send
    }

    /// Returns the deadline of the queue, at which no thread notifies the senders that wait.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.limits.as_ref().and_then(|limits| limits.policy.settings.deadline)
    }

    /// Returns `Ready` from the deadline on. Before that, registers the task to be woken then.
    pub(super) fn poll_deadline(&self, timer: &mut TaskTimer, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline().map_or(Poll::Pending, |at| timer.poll(at, cx))
    }

    /// Returns `true` if the queue would not run an item that is sent now.
    pub(super) fn is_over(&self) -> bool {
        self.is_cancelled() || self.output.is_ended_early()
    }

    /// Notifies the senders for which there is room.
    pub(super) fn notify_room(&self) {
        self.room.notify(|| match self.is_over() {
            true => Offer::END,
            false => Offer { items: self.free(), budget: self.budget() },
        });
    }

    fn check_open(&self, state: &State<T, U, E>) -> Result<(), NotSent> {
        if state.producer.is_none() || self.is_over() { Err(NotSent::Closed) } else { Ok(()) }
    }

    /// Looks for room in the window.
    fn admit(&self, state: &State<T, U, E>) -> Result<(), NotSent> {
        self.check_open(state)?;
        if self.free() == 0 { Err(NotSent::Full) } else { Ok(()) }
    }

    /// Reserves the position of `count` items. Returns `None` if the queue is closed.
    fn reserve(&self, state: &mut State<T, U, E>, count: usize) -> Option<Reserved> {
        // The ring has a slot for each item of the window.
        let ticket = state.producer.as_mut()?.reserve(self.progress.pulled())?;
        Some(Reserved { ticket, first: self.progress.pull(count) })
    }

    /// Returns the size of the next chunk, while `waiting` items have no position.
    fn chunk(&self, waiting: usize) -> usize {
        // Leaves items for the other threads.
        waiting.div_ceil(self.scheduler.parallelism()).min(self.next_chunk.size() as usize)
    }

    /// Reserves positions for all items.
    fn position_all(&self, state: &mut State<T, U, E>) {
        while state.items.len() > state.positioned {
            let count = self.chunk(state.items.len() - state.positioned);
            let Some(reserved) = self.reserve(state, count) else { return };
            state.positions.push_back((reserved, count));
            state.positioned += count;
        }
    }

    fn note_sent(&self, state: &State<T, U, E>) {
        // ORDERING: queue:note: Relaxed; changed under the lock. The fence `idle:notify` orders it
        // for a worker that goes to sleep.
        self.sent.store(self.sent.load(Relaxed) + 1, Relaxed);
        self.waiting.store(state.items.len(), Relaxed);
        self.admit_more(|admitted| admitted + 1);
    }

    /// Changes the number of items that take up room. Called under the lock of the state.
    fn admit_more(&self, change: impl FnOnce(u64) -> u64) {
        // ORDERING: queue:admit: Relaxed; changed under the lock. The fences `room:register` and
        // `room:notify` order it for a sender that waits.
        self.admitted.store(change(self.admitted.load(Relaxed)), Relaxed);
    }

    /// Holds room for one item, which [`send_held`](Self::send_held) uses.
    #[cfg(feature = "sink")]
    pub(super) fn try_hold(&self) -> Result<(), NotSent> {
        use crate::queue::room::SINK_WEIGHT;
        let state = lock(&self.state);
        self.admit(&state)?;
        // The weight of the item is not known.
        if self.budget().is_some_and(|budget| !budget.fits(SINK_WEIGHT)) {
            return Err(NotSent::Full);
        }
        self.admit_more(|admitted| admitted + 1);
        Ok(())
    }

    /// Gives up room that was held.
    #[cfg(feature = "sink")]
    pub(super) fn release(&self) {
        let state = lock(&self.state);
        self.admit_more(|admitted| admitted - 1);
        drop(state);
        self.notify_room();
    }

    /// Sends an item into the room that was held for it, or gives the item back. The held room is
    /// used or given up in both cases.
    ///
    /// The window may be smaller than it was when the room was held.
    #[cfg(feature = "sink")]
    pub(super) fn send_held(&self, item: T, weight: Option<u64>) -> Result<(), (NotSent, T)> {
        let state = lock(&self.state);
        self.admit_more(|admitted| admitted - 1);
        let admitted = self.check_open(&state);
        self.send_with(state, item, admitted, |budget| {
            budget.admit_anyway(weight.unwrap_or(0));
            true
        })
    }

    /// Sends an item of this weight, or gives the item back.
    pub(super) fn try_send(&self, item: T, weight: Option<u64>) -> Result<(), (NotSent, T)> {
        let state = lock(&self.state);
        let admitted = self.admit(&state);
        self.send_with(state, item, admitted, |budget| budget.admit(weight.unwrap_or(0)))
    }

    /// Sends an item, or gives it back. `admitted` is the answer of the window, and `admit` asks
    /// the budget.
    fn send_with(
        &self,
        mut state: MutexGuard<'_, State<T, U, E>>,
        item: T,
        admitted: Result<(), NotSent>,
        admit: impl FnOnce(&Budget) -> bool,
    ) -> Result<(), (NotSent, T)> {
        let admitted = admitted.and_then(|()| {
            state.items.reserve(1);
            if !self.budget().is_none_or(admit) {
                return Err(NotSent::Full);
            }
            if self.limits.is_some() {
                // The consumer skips each item alone.
                let reserved = self.reserve(&mut state, 1).ok_or(NotSent::Closed)?;
                state.positions.push_back((reserved, 1));
                state.positioned += 1;
            }
            Ok(())
        });
        match admitted {
            Ok(()) => state.items.push_back(item),
            Err(reason) => return Err((reason, item)),
        }
        self.note_sent(&state);
        drop(state);
        self.scheduler.idle.notify_work();
        // ORDERING: queue:must_run: Relaxed; both threads have taken the lock of the state.
        if self.consumer_must_run.load(Relaxed) {
            self.output.wake_consumer();
        }
        Ok(())
    }

    /// Reserves the place behind all items that were sent. Returns its ticket and its index.
    pub(super) fn try_reserve(&self) -> Result<(OutputTicket, u64), NotSent> {
        let mut state = lock(&self.state);
        self.admit(&state)?;
        if let Some(budget) = self.budget() {
            budget.admit_anyway(0);
        }
        self.position_all(&mut state);
        let reserved = self.reserve(&mut state, 1).ok_or(NotSent::Closed)?;
        self.note_sent(&state);
        // ORDERING: queue:place: Relaxed; a count for shutdowns, as `queue:place_ended`.
        self.open_places.fetch_add(1, Relaxed);
        Ok((reserved.ticket, reserved.first))
    }

    /// Notifies the senders that wait, if a failure has ended the queue. Otherwise they would wait
    /// for the consumer.
    fn notify_if_failed(&self) {
        if self.output.is_ended_early() {
            self.room.notify(|| Offer::END);
        }
    }

    /// Counts a place that has its outcome.
    pub(super) fn place_ended(&self) {
        self.notify_if_failed();
        self.progress.finish(1);
        // ORDERING: queue:place_ended: Relaxed; the fence `scheduler:ran` orders it.
        self.open_places.fetch_sub(1, Relaxed);
        self.scheduler.after_run();
    }

    /// Counts one more sender.
    pub(super) fn sender_added(&self) {
        lock(&self.state).senders += 1;
    }

    /// Claims the next chunk of items.
    fn claim(&self, helper: Option<Helper>) -> Option<(Reserved, Vec<T>)> {
        let must_run = helper.is_some_and(|helper| helper != Helper::Volunteer);
        if must_run {
            // ORDERING: queue:consumer_must_run: Relaxed; as `queue:must_run`.
            self.consumer_must_run.store(true, Relaxed);
        }
        if self.is_over() || !must_run && !self.has_items() {
            return None;
        }
        let mut state = lock(&self.state);
        let state = &mut *state;
        let (reserved, count) = match state.positions.pop_front() {
            Some((reserved, count)) => {
                state.positioned -= count;
                (reserved, count)
            }
            None => {
                let count = self.chunk(state.items.len());
                if count == 0 {
                    return None;
                }
                (self.reserve(state, count)?, count)
            }
        };
        let mut items = state.spares.pop().unwrap_or_default();
        items.extend(state.items.drain(..count));
        // ORDERING: queue:claim: Relaxed; as `queue:note`.
        self.waiting.store(state.items.len(), Relaxed);
        Some((reserved, items))
    }

    fn has_items(&self) -> bool {
        // ORDERING: queue:look: Relaxed; a guess. The fences in `idle` order it for a worker that
        // goes to sleep, and the lock of the state for a consumer.
        self.waiting.load(Relaxed) > 0
    }

    /// Runs the next chunk of items on the thread of a sender. Returns `false` if there is none.
    pub(super) fn help_in_span(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool {
        let _span = self.fair_share.span.enter();
        self.claim_and_run(slice, Some(helper))
    }

    /// Runs the next chunk of items. Returns `false` if there is none.
    pub(super) fn claim_and_run(&self, slice: &TimeSlice<'_>, helper: Option<Helper>) -> bool {
        let Some((reserved, mut items)) = self.claim(helper) else { return false };
        slice.claimed(self);
        let count = items.len();
        slice.note_running(reserved.first, count as u64);
        let mut index = reserved.first;
        self.output.run_all(reserved.ticket, &mut items.drain(..), |item| {
            index += 1;
            (self.job)(index - 1, item)
        });
        lock(&self.state).spares.push(items);
        self.progress.finish(count);
        self.next_chunk.learn(count as u32, slice.measure());
        if self.budget().is_some_and(Budget::take_lightened) {
            self.notify_room();
        }
        self.notify_if_failed();
        true
    }
}

impl<T: Send, U: Send, E: Send> Work for QueueCore<T, U, E> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let mut worked = false;
        while self.claim_and_run(slice, None) {
            worked = true;
            if slice.is_over() {
                // A consumer that runs items may have gone to sleep meanwhile.
                self.output.wake_consumer();
                break;
            }
        }
        worked
    }

    fn claimable(&self) -> bool {
        !self.is_over() && self.has_items()
    }

    fn progress(&self) -> Option<Progress> {
        let head = self.output.delivered.get();
        // ORDERING: queue:progress: Relaxed; only shown to users.
        let pulled = self.sent.load(Relaxed);
        let waiting = self.progress.finished().saturating_sub(head);
        let failed = Some(self.output.delivered.failed());
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting, failed })
    }

    /// A queue that was ended early runs nothing more, although its consumer may not have found
    /// out.
    fn is_done(&self) -> bool {
        let has_run_all = || {
            let unstarted = lock(&self.state).positioned as u64;
            self.progress.finished() + unstarted == self.progress.pulled()
        };
        self.progress.is_done() || self.is_over() && has_run_all()
    }

    fn is_in_flight(&self) -> bool {
        // ORDERING: queue:in_flight: Relaxed; as `queue:place_ended`.
        self.open_places.load(Relaxed) > 0
    }

    fn notify(&self) {
        self.output.wake_consumer();
        // Senders look whether the queue has ended.
        self.room.notify(|| Offer::END);
    }
}

impl<T: Send, U: Send, E: Send> Published for QueueCore<T, U, E> {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }
}

impl<T: Send, U: Send, E: Send> StreamWork for QueueCore<T, U, E> {
    fn help(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool {
        self.claim_and_run(slice, Some(helper))
    }

    fn is_cheap(&self) -> bool {
        self.next_chunk.is_below(CHEAP)
    }

    fn notify_space(&self, _scheduler: &Scheduler) {
        self.notify_room();
    }

    fn set_window(&self, items: usize, _scheduler: &Scheduler) -> usize {
        let items = self.output.set_window(items);
        self.notify_room();
        items
    }

    fn cancel(&self) {
        self.close();
    }

    fn stop(&self, stop: Stop) {
        for (reserved, _) in self.close() {
            // The queue has limits, so a chunk has one item.
            self.fair_share.span.skipped(self.fair_share.id(), reserved.first, &stop);
            self.output.complete_one(reserved.ticket, Err(stop.into()));
        }
    }

    fn is_cancelled(&self) -> bool {
        // ORDERING: queue:cancelled: Relaxed; a worker that misses it finds no producer.
        self.cancelled.load(Relaxed)
    }

    fn consumer(&self) -> &AtomicWaker {
        &self.output.consumer
    }

    fn delivered(&self) -> &Delivered {
        &self.output.delivered
    }
}

impl<T, U, E> Drop for QueueCore<T, U, E> {
    fn drop(&mut self) {
        // One by one, because the `Drop` of each may panic.
        std::mem::take(&mut lock(&self.state).items).into_iter().for_each(discard);
    }
}

mod end;
