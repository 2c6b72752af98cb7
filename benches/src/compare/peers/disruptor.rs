//! `disruptor`: one handler per thread, and a poller behind the handlers on the calling thread.
//!
//! Each handler processes its share of the sequence numbers, as the documentation advises. The
//! calling thread also publishes the items, in batches. The handlers wait in a busy spin, as the
//! documentation advises for threads with a core each. If there are fewer cores, they yield.

use std::cell::UnsafeCell;
use std::thread;

use ::disruptor::wait_strategies::WaitStrategy;
use ::disruptor::{BusySpinWithSpinLoopHint, Polling, Producer, Sequence, build_single_producer};

use super::Stream;
use crate::compare::job::Job;

pub(crate) struct Disruptor(pub(crate) usize);

/// An event. Handlers have shared references only, so the event has interior mutability.
struct Event<I, U> {
    item: UnsafeCell<Option<I>>,
    result: UnsafeCell<Option<U>>,
}

// SAFETY: each sequence number belongs to one handler, and the poller waits for the handlers. So no
// two threads access an event at once. Values only move from thread to thread, so `Send` suffices.
unsafe impl<I: Send, U: Send> Sync for Event<I, U> {}

impl<I, U> Event<I, U> {
    pub(crate) fn empty() -> Self {
        Event { item: UnsafeCell::new(None), result: UnsafeCell::new(None) }
    }

    /// Sets the item: `None` in the rest of a batch that the source does not fill.
    pub(crate) fn set(&mut self, item: Option<I>) {
        *self.item.get_mut() = item;
    }

    fn run(&self, job: impl Job<I, U>) {
        // SAFETY: only the handler of this sequence number accesses the event now.
        let item = unsafe { (*self.item.get()).take() };
        // SAFETY: only the handler of this sequence number accesses the event now.
        unsafe { *self.result.get() = item.map(job) };
    }

    pub(crate) fn take(&self) -> Option<U> {
        // SAFETY: only the poller accesses the event now, for the handlers have finished with it.
        unsafe { (*self.result.get()).take() }
    }
}

#[derive(Clone, Copy)]
struct Wait {
    yields: bool,
}

impl Wait {
    /// Returns the strategy for `threads` threads that run at the same time.
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
    /// Returns the handler with the given number, of `handlers` handlers.
    pub(crate) fn handler(
        job: impl Job<I, U>,
        number: usize,
        handlers: usize,
    ) -> impl FnMut(&Self, Sequence, bool) + Send + 'static {
        move |event, sequence, _| {
            if sequence as usize % handlers == number {
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
        let handlers = self.0.max(2);
        let wait = Wait::among(handlers + 1);
        let mut builder = build_single_producer(window, Event::empty, wait)
            .handle_events_with(Event::handler(job, 0, handlers))
            .handle_events_with(Event::handler(job, 1, handlers));
        for number in 2..handlers {
            builder = builder.handle_events_with(Event::handler(job, number, handlers));
        }
        let (mut poller, builder) = builder.and_then().new_event_poller();
        let mut producer = builder.build();

        let batch = (window / 8).clamp(1, 64);
        let mut source = source.fuse();
        let (mut fed, mut taken, mut ended) = (0, 0, false);
        while !ended || taken < fed {
            let published = !ended
                && producer
                    .try_batch_publish(batch, |events| {
                        for event in events {
                            let item = source.next();
                            ended |= item.is_none();
                            event.set(item);
                        }
                    })
                    .is_ok();
            if published {
                fed += batch;
            }
            match poller.poll() {
                Ok(mut events) => {
                    for event in &mut events {
                        taken += 1;
                        event.take().into_iter().for_each(&mut *sink);
                    }
                }
                Err(Polling::NoEvents) if !published => wait.wait(),
                Err(_) => {}
            }
        }
    }
}
