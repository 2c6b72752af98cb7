//! The peers, a file for each, and what they can be asked for.
//!
//! "T threads" means that T threads run jobs:
//!
//! | peer | for a batch | for a stream |
//! |---|---|---|
//! | ours | T-1 workers, and the caller, who helps | T-1 workers and the consumer, who helps; in `gzip` and `waiting`, T workers |
//! | rayon, orx-parallel, latch | a pool of T; the caller waits | rayon: the same, a window at a time |
//! | scope-split, tbb | T-1 threads, and the caller | tbb: the same |
//! | pariter, tokio-buffered, channel-heap, mutex, flags, disruptor | as a stream | T workers; the caller feeds or consumes |
//! | pigz | | T, as it says of itself |
//! | serial, thread-per-item | one; as many as items | one |
//!
//! In workload `concurrent` all have T workers for 4 callers, ours too: a caller who helps is what is
//! compared there. In `sleepy` all have 64.

mod channel_heap;
mod disruptor;
mod flags;
mod latch;
mod mutex_buffer;
mod orx;
mod ours;
mod pariter;
mod pool;
mod program;
mod rayon;
mod scope;
mod serial;
mod slots;
#[cfg(tbb)]
mod tbb;
mod tokio;

pub(crate) use channel_heap::{ChannelHeap, Indexed, Reorder};
pub(crate) use disruptor::Disruptor;
pub(crate) use flags::Flags;
pub(crate) use latch::Latch;
pub(crate) use mutex_buffer::{MutexBuffer, MutexForAll, MutexPerBatch};
pub(crate) use orx::Orx;
pub(crate) use ours::{Ours, OursIterator};
pub(crate) use pariter::Pariter;
pub(crate) use pool::Pool;
pub(crate) use program::Program;
pub(crate) use rayon::{Rayon, RayonInside};
pub(crate) use scope::{StaticSplit, ThreadPerItem};
pub(crate) use serial::Serial;
pub(crate) use slots::Slots;
#[cfg(tbb)]
pub(crate) use tbb::Tbb;
pub(crate) use tokio::Tokio;

use super::job::Job;

/// A peer that runs a job on each of the first numbers and has the results in their order.
pub(crate) trait Collect: Sync {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U>;
}

/// A peer that runs a job on the items of a lazy source and hands the results over in their order,
/// with at most `window` items pulled and not yet handed over. (Ours has its window from when it was
/// made.)
pub(crate) trait Stream: Sync {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static;
}

/// A batch by way of a stream, for peers that are made for streams. Its window is large enough for
/// any batch but the largest, where it is as good as none.
fn collect_stream<U, P>(peer: &P, count: u64, job: impl Job<u64, U>) -> Vec<U>
where
    U: Send + 'static,
    P: Stream,
{
    let mut results = Vec::with_capacity(count as usize);
    let window = count.clamp(1, 1024).next_power_of_two() as usize;
    peer.stream(0..count, window, job, &mut |result| results.push(result));
    results
}

/// Makes a [`Collect`] of a [`Stream`].
pub(crate) struct Collected<P>(pub(crate) P);

impl<P: Stream> Collect for Collected<P> {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        collect_stream(&self.0, count, job)
    }
}
