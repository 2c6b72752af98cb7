//! A batch of requests as workers, the scheduler and its consumer see it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::io::Delivered;
use crate::observe::RequestStats;
use crate::primitive::{AtomicWaker, lock, now};
use crate::requests::dispatcher::Decision;
use crate::requests::driver::{Driver, RequestParts, discard_entry};
use crate::requests::in_flight::Jobs;
use crate::scheduler::{CallKind, FairShare, Progress, Published, Scheduler, TimeSlice, Work};
use crate::stream::StreamWork;

impl<P: RequestParts> Work for Driver<P> {
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
        self.is_due()
    }

    fn progress(&self) -> Option<Progress> {
        let (pulled, finished) = lock(&self.dispatcher).counts();
        let head = self.output.delivered.get();
        let waiting = finished.saturating_sub(head);
        Some(Progress { kind: CallKind::Stream, head, pulled, waiting })
    }

    fn is_done(&self) -> bool {
        let dispatcher = lock(&self.dispatcher);
        dispatcher.is_done() || !dispatcher.is_running() && self.is_stopped()
    }

    fn notify(&self) {
        self.output.wake_consumer();
        if self.is_stopped() {
            self.jobs.abort_all();
        }
    }
}

impl<P: RequestParts> Published for Driver<P> {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }
}

impl<P: RequestParts> StreamWork for Driver<P> {
    /// Runs an action only if the consumer must: to dispatch costs more than to wake a consumer.
    fn help(&self, slice: &TimeSlice<'_>, must_run: bool) -> bool {
        if must_run {
            // ORDERING: requests:must_run: Relaxed; as `requests:consumer_must_run`.
            self.consumer_must_run.store(true, Relaxed);
        }
        let helped = must_run && self.step(slice);
        if helped {
            self.notify_if_due();
        }
        helped
    }

    fn is_cheap(&self) -> bool {
        false
    }

    fn notify_space(&self, _scheduler: &Scheduler) {
        self.notify_if_due();
    }

    fn cancel(&self) {
        let (source, waiting) = lock(&self.dispatcher).close(now());
        waiting.into_iter().for_each(discard_entry);
        source.into_iter().for_each(|source| self.abandon(*source));
        self.jobs.abort_all();
        self.timer.clear();
    }

    fn is_cancelled(&self) -> bool {
        lock(&self.dispatcher).is_closed()
    }

    fn skip(&self, index: u64) {
        let entry = lock(&self.dispatcher).skip(index);
        entry.into_iter().for_each(discard_entry);
        self.jobs.abort(index);
    }

    fn next_due(&self) -> Option<Instant> {
        match self.decide(now()) {
            Decision::Rest(at) => at,
            Decision::Start(_) | Decision::End(_) | Decision::Pull => Some(now()),
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
