//! The reorder buffer that most programs write first: a mutex around everything, a condition
//! variable for free slots, and one for the head.
//!
//! There is a buffer per batch, or one buffer for all batches. An outer lock then keeps the batches
//! apart.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::{Collect, Pool, Stream, collect_stream};
use crate::compare::job::Job;

/// A peer with a buffer per batch.
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
        let for_workers = Arc::clone(&shared);
        self.0.run_on_each(move || {
            let (buffer, feed) = &*for_workers;
            // The worker reserves while it holds the source, so indices follow the items' order.
            let pull = || {
                let mut feed = feed.lock().expect("the source does not panic");
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

/// A peer with one buffer for all batches, which therefore run one at a time.
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
        let _guard = self.one_at_a_time.lock().expect("no job panics");
        collect_stream(&self.inner, count, job)
    }
}

/// A queue of slots that starts at the head of line and has a capacity.
pub(crate) struct MutexBuffer<U> {
    state: Mutex<State<U>>,
    free: Condvar,
    ready: Condvar,
    capacity: usize,
}

struct State<U> {
    slots: VecDeque<Option<U>>,
    /// The index of the first slot.
    head: u64,
    end: Option<u64>,
    /// `true` if the producer must be notified. A notification is a system call, so it is left out
    /// if the producer does not wait.
    producer_waits: bool,
    /// `true` if the consumer must be notified.
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
            free: Condvar::new(),
            ready: Condvar::new(),
            capacity,
        }
    }

    /// Reserves a slot, and waits for a free slot if there is none. Only one thread may call this
    /// at a time.
    pub(crate) fn reserve(&self) -> u64 {
        let mut state = self.lock();
        while state.slots.len() == self.capacity {
            state.producer_waits = true;
            state = self.free.wait(state).expect(NO_PANIC);
        }
        state.slots.push_back(None);
        state.head + state.slots.len() as u64 - 1
    }

    /// Cancels the last reservation and ends the sequence.
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
        let offset = (index - state.head) as usize;
        state.slots[offset] = Some(value);
        if offset == 0 && mem::take(&mut state.consumer_waits) {
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Waits for the head of line and takes it. Returns `None` after the end.
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
                    self.free.notify_one();
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

const NO_PANIC: &str = "no thread panics while it holds the lock";
