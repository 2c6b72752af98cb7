//! disruptor: one handler per thread, each with its share of the sequence numbers, which is how its
//! documentation splits work, and a poller behind them on the calling thread. That thread publishes
//! too, in batches.
//!
//! The documentation's wait is a busy spin, for threads that have a core each. Where they have not,
//! it yields.

use std::cell::UnsafeCell;
use std::thread;

use ::disruptor::wait_strategies::WaitStrategy;
use ::disruptor::{BusySpinWithSpinLoopHint, Polling, Producer, Sequence, build_single_producer};

use super::Stream;
use crate::compare::job::Job;

pub(crate) struct Disruptor(pub(crate) usize);

/// Handlers see events by shared reference, so what they do with them is the event's concern.
struct Event<I, U> {
    item: UnsafeCell<Option<I>>,
    result: UnsafeCell<Option<U>>,
}

// SAFETY: the handlers share the sequence numbers out, and the poller stands behind a barrier: no
// two threads are at an event at once, and values are only moved from thread to thread.
unsafe impl<I: Send, U: Send> Sync for Event<I, U> {}

impl<I, U> Event<I, U> {
    pub(crate) fn empty() -> Self {
        Event { item: UnsafeCell::new(None), result: UnsafeCell::new(None) }
    }

    /// Nothing is put into the rest of a batch that the source does not fill.
    pub(crate) fn set(&mut self, item: Option<I>) {
        *self.item.get_mut() = item;
    }

    fn run(&self, job: impl Job<I, U>) {
        // SAFETY: only the handler whose number it is comes here.
        let item = unsafe { (*self.item.get()).take() };
        // SAFETY: as above.
        unsafe { *self.result.get() = item.map(job) };
    }

    pub(crate) fn take(&self) -> Option<U> {
        // SAFETY: only the poller comes here, after the handlers.
        unsafe { (*self.result.get()).take() }
    }
}

#[derive(Clone, Copy)]
struct Wait {
    yields: bool,
}

impl Wait {
    /// For so many threads at once.
    pub(crate) fn among(threads: usize) -> Wait {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Wait { yields: cores < threads }
    }

    pub(crate) fn wait(self) {
        self.wait_for(0);
    }
}

impl WaitStrategy for Wait {
    fn wait_for(&self, sequence: Sequence) {
        if self.yields {
            thread::yield_now();
        } else {
            BusySpinWithSpinLoopHint.wait_for(sequence);
        }
    }
}

impl<I: Send + 'static, U: Send + 'static> Event<I, U> {
    /// The handler number `lane` of `lanes`.
    pub(crate) fn handler(
        job: impl Job<I, U>,
        lane: usize,
        lanes: usize,
    ) -> impl FnMut(&Self, Sequence, bool) + Send + 'static {
        move |event, sequence, _| {
            if sequence as usize % lanes == lane {
                event.run(job);
            }
        }
    }
}

impl Stream for Disruptor {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        let lanes = self.0.max(2);
        let wait = Wait::among(lanes + 1);
        let mut builder = build_single_producer(window, Event::empty, wait)
            .handle_events_with(Event::handler(job, 0, lanes))
            .handle_events_with(Event::handler(job, 1, lanes));
        for lane in 2..lanes {
            builder = builder.handle_events_with(Event::handler(job, lane, lanes));
        }
        let (mut poller, builder) = builder.and_then().new_event_poller();
        let mut producer = builder.build();

        let batch = (window / 8).clamp(1, 64);
        let mut source = source.fuse();
        let (mut fed, mut taken, mut ended) = (0, 0, false);
        while !ended || taken < fed {
            let room = !ended
                && producer
                    .try_batch_publish(batch, |events| {
                        for event in events {
                            let item = source.next();
                            ended |= item.is_none();
                            event.set(item);
                        }
                    })
                    .is_ok();
            if room {
                fed += batch;
            }
            match poller.poll() {
                Ok(mut events) => {
                    for event in &mut events {
                        taken += 1;
                        event.take().into_iter().for_each(&mut *sink);
                    }
                }
                Err(Polling::NoEvents) if !room => wait.wait(),
                Err(_) => {}
            }
        }
    }
}
