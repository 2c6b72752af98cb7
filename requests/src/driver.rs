//! Carries out what the dispatcher decides for a batch of requests.
//!
//! The lock of the dispatcher is held for a few instructions, and never while user code runs. A
//! thread that changes the dispatcher calls [`Call::changed`] afterwards, or goes on to take the
//! next action itself. If something is due, workers are notified.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::attempt::Attempt;
use crate::dispatcher::{Action, AttemptId, Decision, Dispatcher, Ended, RequestConfig, Start};
use crate::limiter::{Answer, Dispatched, RateLimiter};
use crate::primitive::{Mutex, MutexGuard, lock};
use crate::retry::Retry;
use crate::stats::RequestStats;
use reorder_executor::ConcurrencyLimit;
use reorder_executor::dispatch::{
    Call, DiscardOnDrop, Dispatch, Due, ItemTicket, Pull, Setup, Skipped, State, Stop, Turn, now,
};

mod end;
mod in_flight;

use self::end::{complete_stopped, refuse};
use self::in_flight::{EndOf, PendingItem, discard_entry};

pub(crate) use self::in_flight::{InFlight, ItemOf, Jobs};

/// The call has the source. The dispatcher only knows whether it is here.
type DispatcherOf<J> = Dispatcher<(), PendingItem<ItemOf<J>>, <J as Jobs>::Error>;

pub(crate) struct Driver<J: Jobs> {
    jobs: J,
    dispatcher: DiscardOnDrop<Mutex<DispatcherOf<J>>>,
    limiter: RateLimiter,
    retry: Retry,
}

/// An action of a driver.
pub(crate) enum Step<J: Jobs> {
    /// An action that the dispatcher has decided at an instant.
    Decided(Action<(), PendingItem<ItemOf<J>>, J::Error>, Instant),
    /// Abort all attempts that run on a runtime.
    AbortAll,
}

/// Unlocks a dispatcher, and then wakes the batches whose turn at the limiter has come. This runs
/// the wakers of consumers, which may use this batch.
fn unlock<S, P: Clone, E>(mut dispatcher: MutexGuard<'_, Dispatcher<S, P, E>>) {
    let told = dispatcher.take_told();
    drop(dispatcher);
    told.into_iter().for_each(Waker::wake);
}

impl<J: Jobs> Driver<J> {
    pub(crate) fn new(
        setup: &mut Setup,
        jobs: J,
        mut config: RequestConfig,
        concurrency: Option<ConcurrencyLimit>,
    ) -> Self {
        let (limiter, retry) = (config.limiter.clone(), config.retry.clone());
        setup.share_run_time(limiter.run_time());
        if let Some(limit) = concurrency.or_else(|| setup.concurrency().cloned()) {
            config.concurrency = limit;
        }
        setup.watch(&config.concurrency);
        let (window, timeout) = (setup.window() as u64, setup.item_timeout());
        let source = Arc::clone(setup.source());
        let dispatcher = Dispatcher::new((), config, timeout, window, Some(setup.waker()))
            .with_source_check(move || source.may_pull());
        let dispatcher = DiscardOnDrop::new(Mutex::new(dispatcher));
        Driver { jobs, dispatcher, limiter, retry }
    }

    fn start(&self, call: &Arc<Call<Self>>, start: Start<PendingItem<ItemOf<J>>>) {
        // Another thread takes what becomes due while this thread runs the job.
        call.look();
        self.limiter.publish();
        let Start { id, payload, started, timeout, is_hedge, dispatch } = start;
        let job = call.job(payload.ticket, started, timeout);
        let attempt = Attempt { job, id, is_hedge };
        self.jobs.begin(payload.item, attempt, InFlight::new(Arc::clone(call), id, dispatch));
        if self.jobs.can_abort() {
            // The timer has to keep the deadline of the attempt.
            call.look();
        }
    }

    /// Notes the end of an attempt.
    pub(crate) fn attempt_ended(
        &self,
        call: &Call<Self>,
        id: AttemptId,
        dispatch: Dispatched,
        end: EndOf<J>,
    ) {
        self.jobs.ended(id);
        let mut dispatcher = lock(&self.dispatcher);
        let ended = dispatcher.attempt_ended(id, now(), end.verdict(), end.answer());
        let counted = dispatcher.take_new_counts();
        drop(dispatcher);
        let is_overdue = matches!(
            ended,
            Ended::Overdue(_) | Ended::TimedOut | Ended::Beside { is_overdue: true }
        );
        let answer = match end.answer() {
            // The service took too long, also if its answer has come meanwhile.
            Answer::Done | Answer::Failed | Answer::None if is_overdue => Answer::Retry,
            answer => answer,
        };
        let delay = self.limiter.attempt_ended(dispatch, answer, &counted, now());
        self.limiter.publish();
        if !matches!(ended, Ended::Late) {
            lock(&self.dispatcher).note_delay(answer, delay);
        }
        let is_refused = ended.is_refused();
        match ended {
            Ended::Counts(entry, others) => {
                self.finish_or_keep(call, self.retry_or_end(call, entry, end));
                others.into_iter().for_each(|other| self.jobs.abort(other));
            }
            Ended::Overdue(entry) => {
                refuse(call, end);
                self.finish_or_keep(call, self.retry_timed_out(call, entry));
            }
            Ended::Beside { is_overdue: false } => self.keep_error(id.index, end),
            Ended::Beside { is_overdue: true } | Ended::TimedOut | Ended::Late => {
                refuse(call, end);
            }
        }
        if is_refused {
            lock(&self.dispatcher).refused();
        }
        call.changed();
        call.job_ended();
    }

    /// Returns `true` if the result of this attempt counts.
    pub(crate) fn counts_attempt(&self, id: AttemptId) -> bool {
        lock(&self.dispatcher).counts_attempt(id)
    }

    /// Pulls one item, and tells the dispatcher what the source has left.
    fn pull(&self, call: &Call<Self>, turn: &Turn<'_>) {
        let pulled = call.pull(turn);
        let mut dispatcher = lock(&self.dispatcher);
        // If the batch is closed, the call drops the source.
        match pulled {
            Pull::More | Pull::Full => _ = dispatcher.give_back(()),
            Pull::Waiting => _ = dispatcher.give_back_waiting(()),
            Pull::Ended | Pull::Busy => dispatcher.source_ended(),
        }
    }
}

impl<J: Jobs> Dispatch for Driver<J> {
    type Item = J::Item;
    type Value = J::Value;
    type Error = J::Error;
    type Action = Step<J>;
    type Stats = RequestStats;

    fn due(&self, call: &Call<Self>, wakers: &mut Vec<Waker>) -> Due {
        let mut dispatcher = lock(&self.dispatcher);
        if call.is_stopped() {
            return match call.is_aborted() {
                true if self.jobs.can_abort() => Due::Now,
                true => Due::NEVER,
                // Attempts that run go on, and their time-outs hold.
                false => Due::Later { at: dispatcher.next_timeout(), expected: None },
            };
        }
        dispatcher.set_window(call.window() as u64);
        let decision = dispatcher.decide(now(), call.delivered());
        wakers.extend(dispatcher.take_told());
        let Decision::Rest { at, turn } = decision else { return Due::Now };
        // The deadline ends attempts that run on a runtime.
        let deadline = call.deadline().filter(|_| self.jobs.can_abort());
        Due::Later { at: at.into_iter().chain(deadline).min(), expected: turn }
    }

    fn take(&self, call: &Call<Self>) -> Option<Step<J>> {
        let is_stopped = call.is_stopped();
        if is_stopped && call.is_aborted() {
            return self.jobs.can_abort().then_some(Step::AbortAll);
        }
        let mut dispatcher = lock(&self.dispatcher);
        let now = now();
        dispatcher.set_window(call.window() as u64);
        let action = match is_stopped {
            true => dispatcher.take_overdue(now),
            false => dispatcher.take_action(now, call.delivered()),
        };
        if let Some(Action::Start(start)) = &action {
            if start.id.number == 1 {
                // Under the lock: a consumer that skips the item finds either its start, or its
                // entry, which then never starts.
                call.note_start(start.payload.ticket, start.started);
            }
        }
        unlock(dispatcher);
        action.map(|action| Step::Decided(action, now))
    }

    fn perform(&self, call: &Arc<Call<Self>>, step: Step<J>, turn: &Turn<'_>) {
        let Step::Decided(action, now) = step else {
            self.jobs.abort_all();
            return;
        };
        match action {
            Action::Start(start) => {
                turn.running(start.payload.ticket);
                if start.id.number == 1 {
                    call.start_time(start.payload.ticket);
                }
                self.start(call, start);
            }
            Action::TimeOut(id, entry) => {
                self.jobs.abort(id);
                if let Some(entry) = entry {
                    self.finish_or_keep(call, self.retry_timed_out(call, entry));
                }
            }
            Action::End(entry) => self.end(call, entry, now),
            Action::Pull(()) => self.pull(call, turn),
        }
    }

    fn add(&self, ticket: ItemTicket, item: J::Item, is_open: bool) -> Result<(), J::Item> {
        let pending = PendingItem { ticket, item: Arc::new(item) };
        let mut dispatcher = lock(&self.dispatcher);
        let added = match is_open {
            true => dispatcher.pulled(pending, now()),
            false => dispatcher.pulled_parked(pending, now()),
        };
        added.map_err(|left| Arc::into_inner(left.item).expect("no attempt has it"))
    }

    fn add_finished(&self) {
        lock(&self.dispatcher).pulled_finished();
    }

    fn open(&self, index: u64) {
        lock(&self.dispatcher).open_parked(index, now());
    }

    fn skip(&self, call: &Call<Self>, index: u64, stop: Stop) -> Skipped {
        let mut dispatcher = lock(&self.dispatcher);
        let skipped = dispatcher.skip(index);
        let is_ending = dispatcher.is_ending(index);
        drop(dispatcher);
        let Some((entry, attempts)) = skipped else {
            // The thread that decides its end has its last error.
            return if is_ending { Skipped::Ending } else { Skipped::Evict };
        };
        complete_stopped(call, entry, stop);
        attempts.into_iter().for_each(|attempt| self.jobs.abort(attempt));
        Skipped::Completed
    }

    fn close(&self, call: &Call<Self>, stop: Option<Stop>) {
        let mut dispatcher = lock(&self.dispatcher);
        let (_, waiting) = dispatcher.close(now());
        unlock(dispatcher);
        self.limiter.publish();
        waiting.into_iter().for_each(|entry| match stop {
            None => discard_entry(entry),
            Some(stop) => complete_stopped(call, entry, stop),
        });
    }

    fn abort(&self) {
        self.jobs.abort_all();
    }

    fn state(&self) -> State {
        lock(&self.dispatcher).state()
    }

    fn due_since(&self, now: Instant) -> Option<Instant> {
        lock(&self.dispatcher).due_since(now)
    }

    fn is_timer_lost(&self) -> bool {
        self.limiter.is_timer_lost()
    }

    fn stats(&self) -> RequestStats {
        lock(&self.dispatcher).stats(now())
    }

    fn peak_concurrency(&self) -> Option<usize> {
        Some(self.stats().peak_concurrency)
    }
}
