//! A stream whose source and jobs run in the name of their call.
//!
//! A call that they make, and wait for, finds out through the stream whether it is unwanted.

use std::sync::Arc;
use std::time::Instant;

use crate::io::{Delivered, Overdue};
use crate::limits::{Current, LimitState};
use crate::outcome::Stop;
use crate::primitive::AtomicWaker;
use crate::scheduler::{
    FairShare, Look, Progress, Published, Rest, RunTime, Scheduler, TimeSlice, Work,
};
use crate::stream::work::{AnyStats, Helper, Skip, StreamWork};

pub(crate) struct InCall<S> {
    stream: S,
    call: Arc<LimitState>,
}

impl<S> InCall<S> {
    pub(crate) fn new(stream: S, call: Arc<LimitState>) -> InCall<S> {
        InCall { stream, call }
    }

    fn run<R>(&self, f: impl FnOnce(&S) -> R) -> R {
        Current::of_call(&self.call).run(|| f(&self.stream))
    }
}

impl<S: Work> Work for InCall<S> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        self.run(|stream| stream.run_slice(slice))
    }

    fn claimable(&self) -> bool {
        self.stream.claimable()
    }

    fn progress(&self) -> Option<Progress> {
        self.stream.progress()
    }

    fn is_done(&self) -> bool {
        self.stream.is_done()
    }

    fn is_in_flight(&self) -> bool {
        self.stream.is_in_flight()
    }

    fn due_since(&self, now: Instant) -> Option<Instant> {
        self.stream.due_since(now)
    }

    fn look_at_source(&self) -> Look {
        self.stream.look_at_source()
    }

    fn notify(&self) {
        self.stream.notify();
    }
}

impl<S: Published> Published for InCall<S> {
    fn fair_share(&self) -> &FairShare {
        self.stream.fair_share()
    }

    fn runtime(&self) -> &RunTime {
        self.stream.runtime()
    }

    fn rest(&self) -> Option<&Rest> {
        self.stream.rest()
    }
}

impl<S: StreamWork> StreamWork for InCall<S> {
    fn help(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool {
        self.run(|stream| stream.help(slice, helper))
    }

    fn helps(&self, helper: Helper) -> bool {
        self.stream.helps(helper)
    }

    fn is_cheap(&self) -> bool {
        self.stream.is_cheap()
    }

    fn notify_space(&self, scheduler: &Scheduler) {
        self.stream.notify_space(scheduler);
    }

    fn set_window(&self, items: usize, scheduler: &Scheduler) -> usize {
        self.stream.set_window(items, scheduler)
    }

    fn cancel(&self) {
        self.stream.cancel();
    }

    fn stop(&self, stop: Stop) {
        self.stream.stop(stop);
    }

    fn is_cancelled(&self) -> bool {
        self.stream.is_cancelled()
    }

    fn skip(&self, index: u64, stop: Stop) -> Skip {
        self.stream.skip(index, stop)
    }

    fn is_by_key(&self) -> bool {
        self.stream.is_by_key()
    }

    fn give_up_overdue(&self) -> Overdue {
        self.stream.give_up_overdue()
    }

    fn next_due(&self) -> Option<Instant> {
        self.stream.next_due()
    }

    fn stats(&self) -> Option<Box<dyn AnyStats>> {
        self.stream.stats()
    }

    fn peak_concurrency(&self) -> Option<usize> {
        self.stream.peak_concurrency()
    }

    fn consumer(&self) -> &AtomicWaker {
        self.stream.consumer()
    }

    fn delivered(&self) -> &Delivered {
        self.stream.delivered()
    }
}
