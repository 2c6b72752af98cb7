//! The call of a dispatcher, as the workers and the consumer see it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::dispatch::call::{Call, wake_all};
use crate::dispatch::dispatcher::{Dispatch, Due, Skipped, State, Turn};
use crate::io::{Delivered, Overdue};
use crate::outcome::Stop;
use crate::primitive::{AtomicWaker, now, sleep};
use crate::scheduler::{
    CallKind, FairShare, Progress, Published, Rest, RunTime, Scheduler, TimeSlice, Work,
};
use crate::stream::{AnyStats, Helper, Skip, StreamWork};

/// The interval at which a thread looks for due items while the system refuses the thread of the
/// timers.
const LOST_TIMER_POLL: Duration = Duration::from_millis(1);

impl<D: Dispatch> Call<D> {
    /// Takes one action, and carries it out. Returns `false` if there was none to take.
    fn step(self: &Arc<Self>, slice: &TimeSlice<'_>) -> bool {
        let Some(action) = self.ask(|dispatch| dispatch.take(self)).flatten() else {
            if self.timer.is_lost() || self.is_timer_lost() {
                // No timer wakes this thread, so it looks again, but not without a break.
                sleep(LOST_TIMER_POLL);
            }
            return false;
        };
        // Other threads have to see what this thread leaves.
        self.rest.end();
        slice.claimed(&**self);
        let turn = Turn { slice, has_pulled: Cell::new(false) };
        self.ask(|dispatch| dispatch.perform(self, action, &turn));
        if turn.has_pulled.get() {
            // A worker that looked for work meanwhile found none.
            slice.claimed(&**self);
        }
        slice.measure();
        true
    }

    fn state(&self) -> State {
        let finished = || State { is_source_ended: true, ..State::default() };
        self.ask(D::state).unwrap_or_else(finished)
    }

    /// Aborts the jobs that run on a runtime.
    fn cancel_jobs(&self) {
        self.ask(D::abort);
        self.timer.clear();
    }
}

impl<D: Dispatch> Work for Call<D> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let Some(call) = self.me.upgrade() else { return false };
        let mut worked = false;
        while call.step(slice) {
            worked = true;
            if slice.is_over() {
                break;
            }
        }
        if worked {
            // Other threads could not see the items that this thread had in hand. They may have
            // gone to sleep meanwhile.
            self.changed();
        }
        worked
    }

    fn claimable(&self) -> bool {
        !self.rest.is_resting() && self.is_due()
    }

    fn progress(&self) -> Option<Progress> {
        let State { pulled, finished, .. } = self.state();
        let head = self.output.delivered.get();
        let waiting = finished.saturating_sub(head);
        let failed = Some(self.output.delivered.failed());
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting, failed })
    }

    fn is_done(&self) -> bool {
        let state = self.state();
        state.is_done() || state.running == 0 && self.is_stopped()
    }

    fn is_in_flight(&self) -> bool {
        self.state().running > 0
    }

    fn due_since(&self, now: Instant) -> Option<Instant> {
        self.ask(|dispatch| dispatch.due_since(now)).flatten().filter(|_| !self.is_stopped())
    }

    fn notify(&self) {
        self.output.wake_consumer();
        if self.output.is_aborted() {
            self.ask(D::abort);
        }
    }
}

impl<D: Dispatch> Published for Call<D> {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }

    fn runtime(&self) -> &RunTime {
        self.runtime.as_deref().unwrap_or(&self.fair_share.runtime)
    }

    fn rest(&self) -> Option<&Rest> {
        Some(&self.rest)
    }
}

impl<D: Dispatch> StreamWork for Call<D> {
    /// Runs an action only if the consumer must: to dispatch costs more than to wake a consumer.
    fn help(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool {
        let must_run = helper != Helper::Volunteer;
        if must_run {
            // ORDERING: dispatch:must_run: Relaxed; as `dispatch:consumer_must_run`.
            self.consumer_must_run.store(true, Relaxed);
            self.waker.wake_consumer_by(&self.output.consumer);
        }
        let helped = must_run && self.me.upgrade().is_some_and(|call| call.step(slice));
        if helped {
            self.look();
        }
        helped
    }

    fn notify_space(&self, _scheduler: &Scheduler) {
        self.look();
    }

    fn set_window(&self, items: usize, _scheduler: &Scheduler) -> usize {
        let items = self.output.set_window(items);
        self.look();
        items
    }

    fn cancel(&self) {
        self.close(None);
        if let Some(keys) = self.output.keys() {
            keys.close();
        }
        self.source.abandon();
        self.cancel_jobs();
    }

    fn stop(&self, stop: Stop) {
        self.close(Some(stop));
        self.source.abandon();
        self.stop_by_key(stop);
        if self.output.is_aborted() {
            self.cancel_jobs();
        }
    }

    fn is_by_key(&self) -> bool {
        self.output.keys().is_some()
    }

    fn give_up_overdue(&self) -> Overdue {
        self.give_up_overdue_items()
    }

    fn is_cancelled(&self) -> bool {
        self.is_closed()
    }

    fn skip(&self, index: u64, stop: Stop) -> Skip {
        if self.is_by_key() {
            return self.stop_by_key(stop);
        }
        match self.ask(|dispatch| dispatch.skip(self, index, stop)) {
            Some(Skipped::Completed) => Skip::Completed,
            Some(Skipped::Ending) => Skip::Ending,
            Some(Skipped::Evict) | None => Skip::Evict,
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let mut wakers = Vec::new();
        let due = self.ask(|dispatch| dispatch.due(self, &mut wakers));
        wake_all(wakers);
        match due.unwrap_or(Due::NEVER) {
            Due::Now => Some(now()),
            Due::Later { at, expected } => at.into_iter().chain(expected).min(),
        }
    }

    fn stats(&self) -> Option<Box<dyn AnyStats>> {
        self.ask(D::stats).map(|stats| Box::new(stats) as Box<dyn AnyStats>)
    }

    fn peak_concurrency(&self) -> Option<usize> {
        self.ask(D::peak_concurrency).flatten()
    }

    fn consumer(&self) -> &AtomicWaker {
        &self.output.consumer
    }

    fn delivered(&self) -> &Delivered {
        &self.output.delivered
    }
}
