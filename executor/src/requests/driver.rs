//! Carries out what the dispatcher decides for a batch of requests.
//!
//! The lock of the dispatcher is held for a few instructions, and never while user code runs. A
//! thread that changes the dispatcher calls [`Driver::notify_if_due`] afterwards, or goes on to
//! take the next action itself. If something is due, workers are notified.
//!
//! A thread that inspects the dispatcher and finds the next action in the future arms a timer for
//! that instant, and the batch [rests](Rest). The timer or the limiter ends the rest.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::io::{Delivered, LazySource, OrderedOutput, OrderedSource, OutputProducer};
use crate::limits::{LimitState, SharedTimer};
use crate::observe::{CallSpan, RequestStats};
use crate::outcome::{Failure, Outcome, Stop};
use crate::primitive::{AtomicBool, AtomicWaker, Mutex, MutexGuard, lock, now, sleep};
use crate::requests::attempt::Attempt;
use crate::requests::batch_waker::BatchWaker;
use crate::requests::dispatcher::{Action, Decision, Dispatcher, RequestConfig};
use crate::requests::in_flight::{
    EndOf, InFlight, ItemOf, Jobs, PendingEntry, PendingItem, discard_entry,
};
use crate::requests::last_errors::{LastError, LastErrors};
use crate::requests::limiter::{Dispatch, RateLimiter};
use crate::requests::retry::Retry;
use crate::requests::source::RequestSource;
use crate::scheduler::{
    CallKind, FairShare, Progress, Published, Rest, RunTime, Scheduler, TimeSlice, Work,
};
use crate::stream::{Helper, Skip, StreamWork};
use crate::unwind::DiscardOnDrop;

mod end;
mod pull;

type OutcomeOf<J> = Outcome<<J as Jobs>::Value, <J as Jobs>::Error>;
type SourceOf<J> = OrderedSource<<J as Jobs>::Source, <J as Jobs>::Value, <J as Jobs>::Error>;
/// The dispatcher hands the source out and takes it back, so it is boxed.
type DispatcherOf<J> = Dispatcher<Box<SourceOf<J>>, PendingItem<ItemOf<J>>, <J as Jobs>::Error>;

pub(crate) struct Driver<J: Jobs> {
    me: Weak<Self>,
    jobs: J,
    output: OrderedOutput<J::Value, J::Error>,
    dispatcher: DiscardOnDrop<Mutex<DispatcherOf<J>>>,
    limiter: RateLimiter,
    retry: Retry,
    last_errors: LastErrors<J::Error>,
    limits: Arc<LimitState>,
    fair_share: FairShare,
    /// The run time of all batches at the same limiter, of which dispatches are shared out.
    runtime: Arc<RunTime>,
    /// `true` if the consumer runs items, because no other thread may be there to run them.
    consumer_must_run: AtomicBool,
    timer: SharedTimer,
    /// Ends when the batch has something to do, or another thread looks at it.
    rest: Arc<Rest>,
    /// The source wakes it, and the limit of the concurrency, which has a weak reference.
    waker: Arc<BatchWaker>,
    pub(super) scheduler: Arc<Scheduler>,
}

/// The interval at which a thread looks for due items while the system refuses the thread of the
/// timers.
const LOST_TIMER_POLL: Duration = Duration::from_millis(1);

/// Unlocks a dispatcher, and then wakes the batches whose turn at the limiter has come. This runs
/// the wakers of consumers, which may use this batch.
fn unlock<S, P, E>(mut dispatcher: MutexGuard<'_, Dispatcher<S, P, E>>) {
    let told = dispatcher.take_told();
    drop(dispatcher);
    told.iter().for_each(|batch| batch.wake());
}

impl<J: Jobs> Driver<J> {
    pub(crate) fn new(
        mut source: J::Source,
        jobs: J,
        producer: OutputProducer<J::Value, J::Error>,
        output: OrderedOutput<J::Value, J::Error>,
        config: RequestConfig,
        limits: Arc<LimitState>,
        scheduler: Arc<Scheduler>,
    ) -> Arc<Self> {
        let (limiter, retry) = (config.limiter.clone(), config.retry.clone());
        let runtime = limiter.register(&scheduler);
        let window = output.window() as u64;
        let timeout = limits.policy.settings.item_timeout;
        let rest = scheduler.rest();
        let waker = BatchWaker::new(&rest);
        config.concurrency.notify(&waker);
        Arc::new_cyclic(|me| {
            let signal = source.connect(&waker);
            let source = LazySource::within_budget(source, RequestSource::is_admitted);
            let source = Box::new(OrderedSource::new(source, producer));
            let at_turn = Some(Arc::clone(&waker));
            let dispatcher = Dispatcher::new(source, config, timeout, window, at_turn);
            let dispatcher = dispatcher.with_signal(signal);
            let dispatcher = dispatcher.with_budget(limits.budget.clone());
            Driver {
                me: me.clone(),
                jobs,
                output,
                dispatcher: DiscardOnDrop::new(Mutex::new(dispatcher)),
                limiter,
                retry,
                last_errors: LastErrors::new(),
                limits,
                fair_share: FairShare::new(None, CallSpan::requests()),
                runtime,
                consumer_must_run: AtomicBool::new(false),
                timer: SharedTimer::default(),
                rest,
                waker,
                scheduler,
            }
        })
    }

    /// Returns `true` if there is something to do now. If not, the batch rests, and its timer or
    /// the limiter ends the rest.
    fn is_due(&self) -> bool {
        let mut dispatcher = lock(&self.dispatcher);
        let is_due = self.rest.look(|| {
            if self.is_stopped() {
                return self.output.is_aborted() && self.jobs.can_abort();
            }
            let now = now();
            let decision = dispatcher.decide(now, self.output.delivered.get());
            let Decision::Rest { at, turn } = decision else { return true };
            // The deadline ends attempts that run on a runtime.
            let deadline = self.limits.policy.settings.deadline.filter(|_| self.jobs.can_abort());
            let at = at.into_iter().chain(deadline).min();
            let is_lost = at.is_some_and(|at| self.timer.set(at, now, || self.rest.clone().into()));
            is_lost || turn.is_some() && self.limiter.is_timer_lost()
        });
        unlock(dispatcher);
        is_due
    }

    /// Closes the dispatcher. Returns its source and all items that do not run.
    fn close(&self) -> (Option<Box<SourceOf<J>>>, Vec<PendingEntry<J>>) {
        let mut dispatcher = lock(&self.dispatcher);
        let left = dispatcher.close(now());
        unlock(dispatcher);
        left
    }

    fn is_stopped(&self) -> bool {
        self.output.is_ended_early()
    }

    /// Takes one action. Returns `false` if there was none to take.
    fn step(&self, slice: &TimeSlice<'_>) -> bool {
        if self.is_stopped() {
            if !self.output.is_aborted() {
                return false;
            }
            if self.jobs.can_abort() {
                slice.claimed(self);
            }
            return self.jobs.abort_all();
        }
        let mut dispatcher = lock(&self.dispatcher);
        let now = now();
        let mut action = dispatcher.take_action(now, self.output.delivered.get());
        if let Some(Action::Start(entry, _)) = &mut action {
            self.last_errors.keep(entry);
            if entry.attempts == 1 {
                // Under the lock: a consumer that skips the item finds either its start, or its
                // entry, which then never starts.
                self.limits.start(entry.index, entry.started);
            }
        }
        if action.is_some() {
            // Other threads have to see what this thread leaves.
            self.rest.end();
        }
        unlock(dispatcher);
        let Some(action) = action else {
            if self.timer.is_lost() || self.limiter.is_timer_lost() {
                // No timer wakes this thread, so it looks again, but not without a break.
                sleep(LOST_TIMER_POLL);
            }
            return false;
        };
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
                let inside = slice.enter_source();
                self.pull(source);
                drop(inside);
                // A worker that looked for work meanwhile found none.
                slice.claimed(self);
            }
        }
        slice.measure();
        true
    }

    fn start(&self, mut entry: PendingEntry<J>, dispatch: Dispatch) {
        // Another thread takes what becomes due while this thread runs the job.
        self.notify_if_due();
        let started = entry.started.unwrap_or_else(now);
        let (Some(item), Some(me)) = (entry.payload.item.take(), self.me.upgrade()) else { return };
        let limits = Arc::clone(&self.limits);
        let attempt = Attempt { limits, index: entry.index, number: entry.attempts, started };
        self.jobs.begin(item, attempt, InFlight::new(me, entry, dispatch));
        if self.jobs.can_abort() {
            // The timer has to keep the deadline of the attempt.
            self.notify_if_due();
        }
    }

    /// Takes back the entry of an attempt that ended.
    pub(super) fn attempt_ended(
        &self,
        mut entry: PendingEntry<J>,
        dispatch: Dispatch,
        end: EndOf<J>,
    ) {
        self.jobs.ended(entry.index);
        let mut dispatcher = lock(&self.dispatcher);
        dispatcher.attempt_ended(entry.index);
        entry.error = self.last_errors.take(entry.index).map(|last| last.error);
        drop(dispatcher);
        let answer = end.answer();
        let delay = self.limiter.ended(dispatch, answer, now());
        lock(&self.dispatcher).record(answer, delay);
        if let Some((entry, outcome)) = self.retry_or_end(entry, end) {
            self.finish_item(entry, outcome);
        }
        self.changed();
        self.scheduler.after_run();
    }

    /// Returns `true` if no caller can receive a result any more.
    pub(super) fn is_over(&self) -> bool {
        let is_closing = || self.limits.policy.closing().is_some();
        self.output.is_aborted() || lock(&self.dispatcher).is_closed() && !is_closing()
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

impl<J: Jobs> Work for Driver<J> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let mut worked = false;
        while self.step(slice) {
            worked = true;
            if slice.is_over() {
                break;
            }
        }
        if worked {
            // Other threads could not see the entries that this thread had in hand. They may have
            // gone to sleep meanwhile.
            self.changed();
        }
        worked
    }

    fn claimable(&self) -> bool {
        !self.rest.is_resting() && self.is_due()
    }

    fn progress(&self) -> Option<Progress> {
        let (pulled, finished) = lock(&self.dispatcher).counts();
        let head = self.output.delivered.get();
        let waiting = finished.saturating_sub(head);
        let failed = Some(self.output.delivered.failed());
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting, failed })
    }

    fn is_done(&self) -> bool {
        let dispatcher = lock(&self.dispatcher);
        dispatcher.is_done() || !dispatcher.is_running() && self.is_stopped()
    }

    fn is_in_flight(&self) -> bool {
        lock(&self.dispatcher).is_running()
    }

    fn due_since(&self, now: Instant) -> Option<Instant> {
        lock(&self.dispatcher).due_since(now).filter(|_| !self.is_stopped())
    }

    fn notify(&self) {
        self.output.wake_consumer();
        if self.output.is_aborted() {
            self.jobs.abort_all();
        }
    }
}

impl<J: Jobs> Published for Driver<J> {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }

    fn runtime(&self) -> &RunTime {
        &self.runtime
    }

    fn rest(&self) -> Option<&Rest> {
        Some(&self.rest)
    }
}

impl<J: Jobs> StreamWork for Driver<J> {
    /// Runs an action only if the consumer must: to dispatch costs more than to wake a consumer.
    fn help(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool {
        let must_run = helper != Helper::Volunteer;
        if must_run {
            // ORDERING: requests:must_run: Relaxed; as `requests:consumer_must_run`.
            self.consumer_must_run.store(true, Relaxed);
            self.waker.wake_consumer_by(&self.output.consumer);
        }
        let helped = must_run && self.step(slice);
        if helped {
            self.notify_if_due();
        }
        helped
    }

    fn notify_space(&self, _scheduler: &Scheduler) {
        self.notify_if_due();
    }

    fn set_window(&self, items: usize, _scheduler: &Scheduler) -> usize {
        let items = self.output.set_window(items);
        lock(&self.dispatcher).set_window(items as u64);
        self.notify_if_due();
        items
    }

    fn cancel(&self) {
        let (source, waiting) = self.close();
        waiting.into_iter().for_each(discard_entry);
        source.into_iter().for_each(|source| self.abandon(*source));
        self.jobs.abort_all();
        self.timer.clear();
    }

    fn stop(&self, stop: Stop) {
        let (source, waiting) = self.close();
        waiting.into_iter().for_each(|entry| self.complete_stopped(entry, stop));
        source.into_iter().for_each(|source| self.abandon(*source));
        if self.output.is_aborted() {
            self.cancel();
        }
    }

    fn is_cancelled(&self) -> bool {
        lock(&self.dispatcher).is_closed()
    }

    fn skip(&self, index: u64, stop: Stop) -> Skip {
        let mut dispatcher = lock(&self.dispatcher);
        let entry = dispatcher.skip(index);
        if entry.is_none() && dispatcher.is_ending(index) {
            // That thread has the last error.
            return Skip::Ending;
        }
        let last = self.last_errors.take(index);
        drop(dispatcher);
        if let Some(entry) = entry {
            self.complete_stopped(entry, stop);
            return Skip::Completed;
        }
        let skip = if last.is_some() { Skip::Completed } else { Skip::Evict };
        if let Some(LastError { ticket, attempts, error }) = last {
            self.output.complete_one(ticket, Err(Failure::stopped(stop, attempts, Some(error))));
        }
        self.jobs.abort(index);
        skip
    }

    fn next_due(&self) -> Option<Instant> {
        // A batch that has ended starts nothing more. Its consumer would look again for ever.
        if self.is_stopped() {
            return None;
        }
        let (now, delivered) = (now(), self.output.delivered.get());
        let mut dispatcher = lock(&self.dispatcher);
        let decision = dispatcher.decide(now, delivered);
        unlock(dispatcher);
        match decision {
            Decision::Rest { at, turn } => at.into_iter().chain(turn).min(),
            Decision::Start(_) | Decision::End(_) | Decision::Pull => Some(now),
        }
    }

    fn requests(&self) -> Option<RequestStats> {
        Some(lock(&self.dispatcher).stats(now()))
    }

    fn consumer(&self) -> &AtomicWaker {
        &self.output.consumer
    }

    fn delivered(&self) -> &Delivered {
        &self.output.delivered
    }
}
