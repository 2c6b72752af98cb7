//! `crossbeam-channel` for items and for results, and a `BinaryHeap` for results that come early.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crossbeam_channel::bounded;

use super::{Pool, Stream};
use crate::compare::job::Job;

pub(crate) struct ChannelHeap(Pool);

impl ChannelHeap {
    pub(crate) fn new(threads: usize) -> ChannelHeap {
        ChannelHeap(Pool::new(threads))
    }
}

impl Stream for ChannelHeap {
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
        let (items, queue) = bounded(window);
        let (results, finished) = bounded(window);
        self.0.run_on_each(move || {
            for (index, item) in queue {
                let result = Indexed(index, job(item));
                results.send(result).expect("the consumer waits for all results");
            }
        });

        let mut source = source.fuse();
        let mut early = Reorder::starting_at(0);
        let mut sent = 0;
        loop {
            while sent < early.next() + window as u64 {
                let Some(item) = source.next() else { break };
                items.send((sent, item)).expect("the workers wait for items");
                sent += 1;
            }
            if early.next() == sent {
                return;
            }
            early.put(finished.recv().expect("a result is outstanding"));
            while let Some(result) = early.take() {
                sink(result);
            }
        }
    }
}

/// Puts results back in order.
pub(crate) struct Reorder<U> {
    heap: BinaryHeap<Indexed<U>>,
    next: u64,
}

impl<U> Reorder<U> {
    pub(crate) fn starting_at(next: u64) -> Self {
        Reorder { heap: BinaryHeap::new(), next }
    }

    /// Returns the index of the next result in order.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn put(&mut self, result: Indexed<U>) {
        self.heap.push(result);
    }

    /// Returns the next result in order, if it has come.
    pub(crate) fn take(&mut self) -> Option<U> {
        let first = self.heap.peek_mut().filter(|first| first.0 == self.next)?;
        self.next += 1;
        Some(PeekMut::pop(first).1)
    }
}

/// A value that is ordered by its index only. The order is reversed, so a `BinaryHeap` returns the
/// lowest index first.
pub(crate) struct Indexed<U>(pub(crate) u64, pub(crate) U);

impl<U> Ord for Indexed<U> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.cmp(&self.0)
    }
}

impl<U> PartialOrd for Indexed<U> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<U> PartialEq for Indexed<U> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<U> Eq for Indexed<U> {}
