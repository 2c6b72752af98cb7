//! Chunks of cheap items that a worker has pulled and left for other threads.
//!
//! The consumer of a stream must not pull: while it is blocked in the source, it delivers nothing,
//! and the source may even wait for it. So a worker pulls for the consumer as well.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use crate::io::OutputTicket;
use crate::primitive::{AtomicUsize, Mutex, lock};
use crate::unwind::discard;

/// A chunk of items that has a position in the ring.
pub(crate) struct Reserved {
    pub(crate) ticket: OutputTicket,
    /// The index of the first item.
    pub(crate) first: u64,
}

pub(crate) struct Backlog<T> {
    /// The number of chunks, readable without the lock.
    len: AtomicUsize,
    chunks: Mutex<Chunks<T>>,
}

struct Chunks<T> {
    waiting: VecDeque<(Reserved, Vec<T>)>,
    /// Empty vectors that are used again.
    spares: Vec<Vec<T>>,
    is_closed: bool,
}

impl<T> Backlog<T> {
    pub(crate) fn new() -> Backlog<T> {
        let chunks = Chunks { waiting: VecDeque::new(), spares: Vec::new(), is_closed: false };
        Backlog { len: AtomicUsize::new(0), chunks: Mutex::new(chunks) }
    }

    /// Returns `true` if no chunk waits.
    pub(crate) fn is_empty(&self) -> bool {
        // ORDERING: backlog:look: Relaxed; the lock orders the items. The fences in `idle` order
        // the look of a worker that goes to sleep.
        self.len.load(Relaxed) == 0
    }

    fn note_len(&self, chunks: &Chunks<T>) {
        // ORDERING: backlog:len: Relaxed; as `backlog:look`.
        self.len.store(chunks.waiting.len(), Relaxed);
    }

    /// Adds a chunk of the items that `fill` pushes. Returns them if the stream was cancelled.
    pub(crate) fn push(
        &self,
        reserved: Reserved,
        fill: impl FnOnce(&mut Vec<T>),
    ) -> Option<Vec<T>> {
        let spare = lock(&self.chunks).spares.pop();
        let mut items = spare.unwrap_or_default();
        fill(&mut items);
        let mut chunks = lock(&self.chunks);
        if chunks.is_closed {
            return Some(items);
        }
        chunks.waiting.push_back((reserved, items));
        self.note_len(&chunks);
        None
    }

    /// Takes the oldest chunk.
    pub(crate) fn pop(&self) -> Option<(Reserved, Vec<T>)> {
        if self.is_empty() {
            return None;
        }
        let mut chunks = lock(&self.chunks);
        let chunk = chunks.waiting.pop_front();
        self.note_len(&chunks);
        chunk
    }

    /// Returns the number of items in all chunks.
    pub(crate) fn items(&self) -> usize {
        lock(&self.chunks).waiting.iter().map(|(_, items)| items.len()).sum()
    }

    /// Keeps an empty vector.
    pub(crate) fn put_back(&self, items: Vec<T>) {
        debug_assert!(items.is_empty());
        lock(&self.chunks).spares.push(items);
    }

    /// Takes all chunks, and refuses new ones.
    pub(crate) fn close_and_take(&self) -> VecDeque<(Reserved, Vec<T>)> {
        let mut chunks = lock(&self.chunks);
        chunks.is_closed = true;
        let waiting = std::mem::take(&mut chunks.waiting);
        self.note_len(&chunks);
        waiting
    }

    /// Drops all chunks, and refuses new ones. Returns the number of items that were dropped.
    pub(crate) fn close(&self) -> usize {
        let waiting = self.close_and_take();
        let count = waiting.iter().map(|(_, items)| items.len()).sum();
        waiting.into_iter().flat_map(|(_, items)| items).for_each(discard);
        count
    }
}

impl<T> Drop for Backlog<T> {
    fn drop(&mut self) {
        self.close();
    }
}
