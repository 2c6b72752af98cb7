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

use crate::io::{Delivered, LazySource, OrderedOutput, OrderedSource, OutputProducer, Overdue};
use crate::limits::{LimitState, SharedTimer};
use crate::observe::{CallSpan, RequestStats};
use crate::outcome::{Outcome, Stop};
use crate::primitive::{AtomicBool, AtomicWaker, Mutex, MutexGuard, lock, now, sleep};
use crate::requests::attempt::Attempt;
use crate::requests::batch_waker::BatchWaker;
use crate::requests::dispatcher::{
    Action, AttemptId, Decision, Dispatcher, Ended, RequestConfig, Start,
};
use crate::requests::in_flight::{
    EndOf, InFlight, ItemOf, Jobs, PendingEntry, PendingItem, discard_entry,
};
use crate::requests::limiter::{Answer, Dispatch, RateLimiter};
use crate::requests::retry::Retry;
use crate::requests::source::RequestSource;
use crate::scheduler::{
    CallKind, FairShare, Progress, Published, Rest, RunTime, Scheduler, TimeSlice, Work,
};
use crate::stream::{Helper, Skip, StreamWork};
use crate::unwind::DiscardOnDrop;

mod by_key;
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
fn unlock<S, P: Clone, E>(mut dispatcher: MutexGuard<'_, Dispatcher<S, P, E>>) {
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
            let source = LazySource::within_budget(source, RequestSource::is_admitted)
                .with_keys(RequestSource::take_key);
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
            let now = now();
            if self.is_stopped() {
                // Attempts that run go on, and their time-outs hold.
                let at = dispatcher.next_timeout();
                return self.output.is_aborted() && self.jobs.can_abort()
                    || at.is_some_and(|at| at <= now || self.set_timer(at, now));
            }
            let decision = dispatcher.decide(now, self.output.delivered.get());
            let Decision::Rest { at, turn } = decision else { return true };
            // The deadline ends attempts that run on a runtime.
            let deadline = self.limits.policy.settings.deadline.filter(|_| self.jobs.can_abort());
            let at = at.into_iter().chain(deadline).min();
            let is_lost = at.is_some_and(|at| self.set_timer(at, now));
            is_lost || turn.is_some() && self.limiter.is_timer_lost()
        });
        unlock(dispatcher);
        is_due
    }

    /// Arms the timer. Returns `true` if the thread has to look again, because the timer is lost.
    fn set_timer(&self, at: Instant, now: Instant) -> bool {
        self.timer.set(at, now, || self.rest.clone().into())
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
        let is_stopped = self.is_stopped();
        if is_stopped && self.output.is_aborted() {
            if self.jobs.can_abort() {
                slice.claimed(self);
            }
            return self.jobs.abort_all();
        }
        let mut dispatcher = lock(&self.dispatcher);
        let now = now();
        let action = match is_stopped {
            true => dispatcher.take_overdue(now),
            false => dispatcher.take_action(now, self.output.delivered.get()),
        };
        if let Some(Action::Start(start)) = &action {
            if start.id.number == 1 {
                // Under the lock: a consumer that skips the item finds either its start, or its
                // entry, which then never starts.
                self.limits.start(start.id.index, Some(start.started));
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
            Action::Start(start) => {
                slice.claimed(self);
                slice.note_running(start.id.index, 1);
                if start.id.number == 1 && self.output.note_start(start.payload.ticket) {
                    self.give_up_overdue();
                }
                self.start(start);
            }
            Action::TimeOut(id, entry) => {
                slice.claimed(self);
                self.jobs.abort(id);
                if let Some(entry) = entry {
                    self.finish_or_keep(self.retry_timed_out(entry));
                }
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

    fn start(&self, start: Start<PendingItem<ItemOf<J>>>) {
        // Another thread takes what becomes due while this thread runs the job.
        self.notify_if_due();
        let Some(driver) = self.me.upgrade() else { return };
        let Start { id, payload, started, timeout, is_hedge, dispatch } = start;
        let limits = Arc::clone(&self.limits);
        let attempt = Attempt { limits, id, started, timeout, is_hedge };
        self.jobs.begin(payload.item, attempt, InFlight::new(driver, id, dispatch));
        if self.jobs.can_abort() {
            // The timer has to keep the deadline of the attempt.
            self.notify_if_due();
        }
    }

    /// Notes the end of an attempt.
    pub(super) fn attempt_ended(&self, id: AttemptId, dispatch: Dispatch, end: EndOf<J>) {
        self.jobs.ended(id);
        let ended = lock(&self.dispatcher).attempt_ended(id, now(), end.verdict());
        let is_overdue = matches!(
            ended,
            Ended::Overdue(_) | Ended::TimedOut | Ended::Beside { is_overdue: true }
        );
        let answer = match end.answer() {
            // The service took too long, also if its answer has come meanwhile.
            Answer::Done | Answer::Failed | Answer::None if is_overdue => Answer::Retry,
            answer => answer,
        };
        let delay = self.limiter.ended(dispatch, answer, now());
        if is_overdue {
            lock(&self.dispatcher).note_delay(delay);
        }
        match ended {
            Ended::Counts(entry, others) => {
                lock(&self.dispatcher).record(answer, delay);
                self.finish_or_keep(self.retry_or_end(entry, end));
                others.into_iter().for_each(|other| self.jobs.abort(other));
            }
            Ended::Overdue(entry) => {
                self.refuse(end);
                self.finish_or_keep(self.retry_timed_out(entry));
            }
            Ended::Beside { is_overdue: false } => {
                lock(&self.dispatcher).record(answer, delay);
                self.keep_error(id.index, end);
            }
            Ended::Beside { is_overdue: true } | Ended::TimedOut | Ended::Late => self.refuse(end),
        }
        self.changed();
        self.scheduler.after_run();
    }

    /// Returns `true` if the result of this attempt counts.
    pub(super) fn counts_attempt(&self, id: AttemptId) -> bool {
        lock(&self.dispatcher).counts_attempt(id)
    }

    /// Ends the work on an item that the consumer gives up.
    fn skip_item(&self, index: u64, stop: Stop) -> Skip {
        let mut dispatcher = lock(&self.dispatcher);
        let skipped = dispatcher.skip(index);
        let is_ending = dispatcher.is_ending(index);
        drop(dispatcher);
        let Some((entry, attempts)) = skipped else {
            // The thread that decides its end has its last error.
            return if is_ending { Skip::Ending } else { Skip::Evict };
        };
        self.complete_stopped(entry, stop);
        attempts.into_iter().for_each(|attempt| self.jobs.abort(attempt));
        Skip::Completed
    }

    /// Aborts the attempts that run on a runtime.
    fn cancel_attempts(&self) {
        self.jobs.abort_all();
        self.timer.clear();
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
        if let Some(keys) = self.output.keys() {
            keys.close();
        }
        source.into_iter().for_each(|source| self.abandon(*source));
        self.cancel_attempts();
    }

    fn stop(&self, stop: Stop) {
        let (source, waiting) = self.close();
        waiting.into_iter().for_each(|entry| self.complete_stopped(entry, stop));
        source.into_iter().for_each(|source| self.abandon(*source));
        self.stop_by_key(stop);
        if self.output.is_aborted() {
            self.cancel_attempts();
        }
    }

    fn is_by_key(&self) -> bool {
        self.output.keys().is_some()
    }

    fn give_up_overdue(&self) -> Overdue {
        self.output.give_up_overdue(|ticket, stop| self.give_up(ticket, stop))
    }

    fn is_cancelled(&self) -> bool {
        lock(&self.dispatcher).is_closed()
    }

    fn skip(&self, index: u64, stop: Stop) -> Skip {
        if self.is_by_key() { self.stop_by_key(stop) } else { self.skip_item(index, stop) }
    }

    fn next_due(&self) -> Option<Instant> {
        let (now, delivered) = (now(), self.output.delivered.get());
        let mut dispatcher = lock(&self.dispatcher);
        // A batch that has ended starts nothing more. Its consumer would look again for ever.
        if self.is_stopped() {
            return dispatcher.next_timeout().filter(|_| !self.output.is_aborted());
        }
        let decision = dispatcher.decide(now, delivered);
        unlock(dispatcher);
        match decision {
            Decision::Rest { at, turn } => at.into_iter().chain(turn).min(),
            Decision::Start(_)
            | Decision::Hedge(_)
            | Decision::End(_)
            | Decision::TimeOut(_)
            | Decision::Pull => Some(now),
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
