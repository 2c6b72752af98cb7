//! Carries out what the dispatcher decides for a batch of requests.
//!
//! The lock of the dispatcher is held for a few instructions, and never while user code runs. A
//! thread that changes the dispatcher calls [`Driver::notify_if_due`] afterwards, or goes on to
//! take the next action itself. If something is due, workers are notified.
//!
//! A thread that inspects the dispatcher and finds the next action in the future arms a timer for
//! that instant. The timer notifies the scheduler. This holds also for a worker that only looks for
//! work: the rate limiter may have woken it, and then let another batch through first.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

use reorder_ring::{Gap, Producer};

use crate::io::{ChunkRing, OrderedOutput, OrderedSource};
use crate::limits::{LimitState, SharedTimer};
use crate::outcome::{Failure, Outcome, Panic};
use crate::primitive::{AtomicBool, Mutex, lock, now};
use crate::requests::attempt::Attempt;
use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::dispatcher::{Action, Decision, Dispatcher, Entry, RequestConfig};
use crate::requests::in_flight::{
    AttemptOwner, AttemptResult, InFlight, Jobs, PendingEntry, PendingItem,
};
use crate::requests::limiter::{Dispatch, RateLimiter};
use crate::scheduler::{FairShare, Scheduler, TimeSlice};
use crate::unwind::{DiscardOnDrop, discard};

mod source;
mod work;

/// The types of a batch of requests, with their bounds.
pub(crate) trait RequestParts: 'static {
    type Source: Iterator<Item = <Self::Jobs as Jobs>::Item> + Send;
    type Jobs: Jobs;
}

impl<I: Iterator<Item = J::Item> + Send + 'static, J: Jobs> RequestParts for (I, J) {
    type Source = I;
    type Jobs = J;
}

type Value<P> = <<P as RequestParts>::Jobs as Jobs>::Value;
type Error<P> = <<P as RequestParts>::Jobs as Jobs>::Error;
type PendingItemOf<P> = PendingItem<<<P as RequestParts>::Jobs as Jobs>::Kept>;
type EntryOf<P> = PendingEntry<<P as RequestParts>::Jobs>;
type OutcomeOf<P> = Outcome<Value<P>, Error<P>>;
type Source<P> = OrderedSource<<P as RequestParts>::Source, Value<P>, Error<P>>;
/// The dispatcher hands the source out and takes it back, so it is boxed.
type DispatcherOf<P> = Dispatcher<Box<Source<P>>, PendingItemOf<P>, Error<P>>;

pub(crate) struct Driver<P: RequestParts> {
    me: Weak<Self>,
    jobs: P::Jobs,
    output: OrderedOutput<Value<P>, Error<P>>,
    dispatcher: DiscardOnDrop<Mutex<DispatcherOf<P>>>,
    limiter: RateLimiter,
    limits: Arc<LimitState>,
    fair_share: FairShare,
    /// `true` if the consumer runs items, because no other thread may be there to run them.
    consumer_must_run: AtomicBool,
    timer: SharedTimer,
    scheduler: Arc<Scheduler>,
}

/// Notifies the scheduler when a timer fires. It keeps no user value alive, because it runs on the
/// thread of all timers.
struct TimerWaker(Weak<Scheduler>);

impl Wake for TimerWaker {
    fn wake(self: Arc<Self>) {
        if let Some(scheduler) = self.0.upgrade() {
            scheduler.idle.notify_work();
        }
    }
}

impl<P: RequestParts> Driver<P> {
    pub(crate) fn new(
        source: P::Source,
        jobs: P::Jobs,
        producer: Producer<ChunkRing<Value<P>, Error<P>>>,
        output: OrderedOutput<Value<P>, Error<P>>,
        config: RequestConfig,
        limits: Arc<LimitState>,
        scheduler: Arc<Scheduler>,
    ) -> Arc<Self> {
        let limiter = config.limiter.clone();
        let window = output.window() as u64;
        let source = Box::new(OrderedSource::new(source, producer));
        let timeout = limits.policy.settings.item_timeout;
        let dispatcher = Dispatcher::new(source, config, timeout, window);
        Arc::new_cyclic(|me| Driver {
            me: me.clone(),
            jobs,
            output,
            dispatcher: DiscardOnDrop::new(Mutex::new(dispatcher)),
            limiter,
            limits,
            fair_share: FairShare::default(),
            consumer_must_run: AtomicBool::new(false),
            timer: SharedTimer::default(),
            scheduler,
        })
    }

    fn decide(&self, now: Instant) -> Decision {
        lock(&self.dispatcher).decide(now, self.output.delivered.get())
    }

    /// Returns `true` if there is something to do now. If there will be later, arms the timer.
    fn is_due(&self) -> bool {
        if self.is_stopped() {
            return self.jobs.can_abort();
        }
        let now = now();
        let Decision::Rest(at) = self.decide(now) else { return true };
        // The deadline ends attempts that run on a runtime.
        let deadline = self.limits.policy.settings.deadline.filter(|_| self.jobs.can_abort());
        let at = at.into_iter().chain(deadline).min();
        let waker = || Waker::from(Arc::new(TimerWaker(Arc::downgrade(&self.scheduler))));
        at.is_some_and(|at| self.timer.set(at, now, waker))
    }

    fn is_stopped(&self) -> bool {
        self.output.is_ended_early()
    }

    /// Takes one action. Returns `false` if there was none to take.
    fn step(&self, slice: &TimeSlice<'_>) -> bool {
        if self.is_stopped() {
            if self.jobs.can_abort() {
                slice.claimed(self);
            }
            return self.jobs.abort_all();
        }
        let mut dispatcher = lock(&self.dispatcher);
        let now = now();
        let action = dispatcher.take_action(now, self.output.delivered.get());
        drop(dispatcher);
        let Some(action) = action else { return false };
        match action {
            Action::Start(entry, dispatch) => {
                slice.claimed(self);
                slice.note_running(entry.index, 1);
                self.start(entry, dispatch);
            }
            Action::End(entry) => {
                slice.claimed(self);
                self.end(entry, now);
            }
            Action::Pull(source) => {
                slice.claimed(self);
                slice.note_pulling();
                self.pull(source);
                // A worker that looked for work meanwhile found none.
                slice.claimed(self);
            }
        }
        slice.measure();
        true
    }

    fn start(&self, mut entry: EntryOf<P>, dispatch: Dispatch) {
        // Another thread takes what becomes due while this thread runs the job.
        self.notify_if_due();
        let started = entry.started.unwrap_or_else(now);
        if entry.attempts == 1 {
            self.limits.start(entry.index, Some(started));
        }
        let (Some(item), Some(me)) = (entry.payload.item.take(), self.me.upgrade()) else { return };
        let attempt = Attempt::new(Arc::clone(&self.limits), entry.index, entry.attempts, started);
        self.jobs.begin(item, attempt, InFlight::new(me, entry, dispatch));
        if self.jobs.can_abort() {
            // The timer has to keep the deadline of the attempt.
            self.notify_if_due();
        }
    }

    /// Gives its outcome to an item that waited until its time was over.
    fn end(&self, mut entry: EntryOf<P>, now: Instant) {
        let failure = match self.limits.policy.overdue(entry.started, Some(now)) {
            Some(stop) => stop.into(),
            None => exhausted(&mut entry),
        };
        self.finish_item(entry, Err(failure));
    }

    /// Keeps an item for its next attempt, or returns its outcome.
    fn retry_or_end(
        &self,
        mut entry: EntryOf<P>,
        result: AttemptResult<P::Jobs>,
    ) -> Option<(EntryOf<P>, OutcomeOf<P>)> {
        let (policy, now) = (&self.limits.policy, now());
        let outcome = match (result, policy.overdue(entry.started, Some(now))) {
            (result, Some(stop)) => {
                if let Some(Ok(AttemptOutcome::Done(_) | AttemptOutcome::Failed(_))) = result {
                    policy.count_late();
                }
                discard(result);
                Err(stop.into())
            }
            (Some(Ok(AttemptOutcome::Done(value))), None) => Ok(value),
            (Some(Ok(AttemptOutcome::Failed(error))), None) => Err(Failure::Failed(error)),
            (Some(Ok(AttemptOutcome::Retry { error, after })), None) => {
                discard(entry.error.replace(error));
                entry = lock(&self.dispatcher).retry_later(now, entry, after)?;
                // If the batch has ended meanwhile, the item ends as the waiting items did.
                let stop = policy.cancelled().map(Failure::from);
                Err(stop.unwrap_or_else(|| exhausted(&mut entry)))
            }
            (Some(Err(payload)), None) => Err(Failure::Panicked(Panic::new(payload))),
            (None, None) => {
                Err(policy.cancelled().map_or(Failure::Gap(Gap::Abandoned), Failure::from))
            }
        };
        Some((entry, outcome))
    }

    fn finish_item(&self, entry: EntryOf<P>, outcome: OutcomeOf<P>) {
        if let Some(log) = &self.limits.timing_log {
            log.note(entry.index, entry.started, Some(now()));
        }
        self.output.complete_one(entry.payload.ticket, outcome);
        lock(&self.dispatcher).finish();
        discard_entry(entry);
    }

    /// Notifies the threads that may have to act on a change of the dispatcher.
    fn changed(&self) {
        self.notify_if_due();
        // ORDERING: requests:consumer_must_run: Relaxed; both threads have taken the lock of the
        // dispatcher, which orders it.
        if self.consumer_must_run.load(Relaxed) {
            self.output.wake_consumer();
        }
    }

    /// Notifies the workers if something is due now, and arms the timer if something will be.
    fn notify_if_due(&self) {
        if self.is_due() {
            self.scheduler.idle.notify_work();
        }
    }
}

/// Drops the parts of an entry one by one, because the `Drop` of each may panic.
fn discard_entry<K, E>(entry: Entry<PendingItem<K>, E>) {
    discard(entry.payload.item);
    discard(entry.error);
}

fn exhausted<T, E>(entry: &mut Entry<T, E>) -> Failure<E> {
    match entry.error.take() {
        Some(error) => Failure::RetriesExhausted(error),
        // The item has not run at all.
        None => Failure::Gap(Gap::Abandoned),
    }
}

impl<P: RequestParts> AttemptOwner<P::Jobs> for Driver<P> {
    fn attempt_ended(&self, entry: EntryOf<P>, dispatch: Dispatch, result: AttemptResult<P::Jobs>) {
        self.jobs.ended(entry.index);
        if let Some(Ok(outcome @ (AttemptOutcome::Done(_) | AttemptOutcome::Retry { .. }))) =
            &result
        {
            let had_capacity = matches!(outcome, AttemptOutcome::Done(_));
            let delay = self.limiter.record(dispatch, had_capacity);
            lock(&self.dispatcher).record(had_capacity, delay);
        }
        if let Some((entry, outcome)) = self.retry_or_end(entry, result) {
            self.finish_item(entry, outcome);
        }
        self.changed();
        self.scheduler.after_run();
    }

    fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    fn is_over(&self) -> bool {
        lock(&self.dispatcher).is_closed() || self.is_stopped()
    }
}
