//! The reorder buffer that most programs write first: a mutex around everything, one condition
//! variable for room and one for the head.
//!
//! One per batch, or one for all batches under an outer lock, which is how a buffer that is shared
//! is kept from mixing batches.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::{Collect, Pool, Stream, collect_stream};
use crate::compare::job::Job;

/// A buffer for each batch.
pub(crate) struct MutexPerBatch(Pool);

impl MutexPerBatch {
    pub(crate) fn new(threads: usize) -> MutexPerBatch {
        MutexPerBatch(Pool::new(threads))
    }
}

impl Stream for MutexPerBatch {
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
        let feed = Mutex::new(Some(source));
        let shared = Arc::new((MutexBuffer::with_capacity(window), feed));
        let of_worker = Arc::clone(&shared);
        self.0.run_on_each(move || {
            let (buffer, feed) = &*of_worker;
            // The place is reserved with the source locked: items get their places in their order.
            let pull = || {
                let mut feed = feed.lock().expect("no source panics");
                let source = feed.as_mut()?;
                let index = buffer.reserve();
                let item = source.next();
                if item.is_none() {
                    *feed = None;
                    buffer.finish();
                }
                Some((index, item?))
            };
            while let Some((index, item)) = pull() {
                buffer.complete(index, job(item));
            }
        });
        while let Some(value) = shared.0.take() {
            sink(value);
        }
    }
}

/// One buffer for all batches, so one batch at a time.
pub(crate) struct MutexForAll {
    inner: MutexPerBatch,
    one_at_a_time: Mutex<()>,
}

impl MutexForAll {
    pub(crate) fn new(threads: usize) -> MutexForAll {
        MutexForAll { inner: MutexPerBatch::new(threads), one_at_a_time: Mutex::new(()) }
    }
}

impl Collect for MutexForAll {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let _alone = self.one_at_a_time.lock().expect("no job panics");
        collect_stream(&self.inner, count, job)
    }
}

/// Slots from the head of line on, up to a capacity.
pub(crate) struct MutexBuffer<U> {
    state: Mutex<State<U>>,
    room: Condvar,
    ready: Condvar,
    capacity: usize,
}

struct State<U> {
    slots: VecDeque<Option<U>>,
    /// The index of the first slot.
    head: u64,
    end: Option<u64>,
    /// Telling a condition variable is a system call, so nobody is told who does not wait.
    producer_waits: bool,
    consumer_waits: bool,
}

impl<U> MutexBuffer<U> {
    pub(crate) fn with_capacity(capacity: usize) -> MutexBuffer<U> {
        MutexBuffer {
            state: Mutex::new(State {
                slots: VecDeque::with_capacity(capacity),
                head: 0,
                end: None,
                producer_waits: false,
                consumer_waits: false,
            }),
            room: Condvar::new(),
            ready: Condvar::new(),
            capacity,
        }
    }

    /// Waits for room, and reserves. One thread at a time.
    pub(crate) fn reserve(&self) -> u64 {
        let mut state = self.lock();
        while state.slots.len() == self.capacity {
            state.producer_waits = true;
            state = self.room.wait(state).expect(NO_PANIC);
        }
        state.slots.push_back(None);
        state.head + state.slots.len() as u64 - 1
    }

    /// Gives back the last reservation, and says that there will be no other.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.slots.pop_back();
        state.end = Some(state.head + state.slots.len() as u64);
        if mem::take(&mut state.consumer_waits) {
            self.ready.notify_one();
        }
    }

    pub(crate) fn complete(&self, index: u64, value: U) {
        let mut state = self.lock();
        let place = (index - state.head) as usize;
        state.slots[place] = Some(value);
        if place == 0 && mem::take(&mut state.consumer_waits) {
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Waits for the head of line; nothing after the end.
    pub(crate) fn take(&self) -> Option<U> {
        let mut state = self.lock();
        loop {
            if state.end == Some(state.head) {
                return None;
            }
            if let Some(value) = state.slots.front_mut().and_then(Option::take) {
                state.slots.pop_front();
                state.head += 1;
                if mem::take(&mut state.producer_waits) {
                    drop(state);
                    self.room.notify_one();
                }
                return Some(value);
            }
            state.consumer_waits = true;
            state = self.ready.wait(state).expect(NO_PANIC);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<U>> {
        self.state.lock().expect(NO_PANIC)
    }
}

const NO_PANIC: &str = "nothing panics with the lock";
