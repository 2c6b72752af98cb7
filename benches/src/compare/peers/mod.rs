//! The peers, with one file each, and the traits that they implement.
//!
//! "T threads" means that T threads run jobs:
//!
//! | peer | threads for a batch | threads for a stream |
//! |---|---|---|
//! | ours | T-1 workers and the helping caller | T-1 workers and the helping consumer; in `gzip` and `waiting`, T workers |
//! | rayon, orx-parallel, latch | a pool of T; the caller waits | rayon: the same, a window at a time |
//! | scope-split, tbb | T-1 threads and the caller | tbb: the same |
//! | semaphore-heap | | T workers, and a thread that feeds; the caller consumes |
//! | pariter, tokio-buffered, channel-heap, mutex, flags, disruptor | as for a stream | T workers; the caller feeds or consumes |
//! | pigz | | T, by its own option |
//! | serial, thread-per-item | one; one per item | one |
//!
//! In the workload `concurrent`, all peers have T workers for 4 callers, including ours, so the
//! help of the callers is compared, too. In `sleepy`, all have 64. In `async`, all have a runtime
//! of two threads.

mod channel_heap;
mod disruptor;
mod flags;
mod gzp;
mod latch;
mod mutex_buffer;
mod noodles;
mod orx;
mod ours;
mod pariter;
mod pool;
mod program;
mod rayon;
mod scope;
mod semaphore_heap;
mod serial;
mod slots;
#[cfg(tbb)]
mod tbb;
mod tokio;

pub(crate) use channel_heap::{ChannelHeap, Indexed, Reorder};
pub(crate) use disruptor::Disruptor;
pub(crate) use flags::Flags;
pub(crate) use gzp::Gzp;
pub(crate) use latch::Latch;
pub(crate) use mutex_buffer::{MutexBuffer, MutexForAll, MutexPerBatch};
pub(crate) use noodles::Noodles;
pub(crate) use orx::Orx;
pub(crate) use ours::{Ours, OursIterator, OursQueue, OursWriter};
pub(crate) use pariter::Pariter;
pub(crate) use pool::Pool;
pub(crate) use program::Program;
pub(crate) use rayon::{Rayon, RayonInside};
pub(crate) use scope::{StaticSplit, ThreadPerItem};
pub(crate) use semaphore_heap::SemaphoreHeap;
pub(crate) use serial::Serial;
pub(crate) use slots::Slots;
#[cfg(tbb)]
pub(crate) use tbb::Tbb;
pub(crate) use tokio::Tokio;

use std::io;
use std::sync::Arc;

use super::job::Job;

/// A peer that runs a job on the numbers below `count` and returns the results in order.
pub(crate) trait Collect: Sync {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U>;
}

/// A peer that runs a job on the items of a lazy source and delivers the results in order.
///
/// At most `window` items are pulled and not yet delivered. Ours ignores `window`: it has the
/// window with which its executor was built.
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

/// Items with sizes. The job makes a buffer of the size of its item.
pub(crate) struct Load<J> {
    pub(crate) sizes: Arc<[usize]>,
    /// The number of bytes that all buffers have at most.
    pub(crate) budget: u64,
    pub(crate) job: J,
}

/// A peer that runs a job on sizes, and delivers the results in order within a budget of bytes.
pub(crate) trait Weighed {
    /// The buffers of all items that were started and not dropped by `sink` stay within the budget.
    fn run<J: Job<usize, Vec<u8>>>(&self, load: Load<J>, sink: impl FnMut(Vec<u8>));
}

/// A peer that compresses text with gzip in blocks of 64 KiB, behind a [`Write`](std::io::Write).
///
/// Each block is a gzip member. The level is 6, and flate2 compresses for all peers.
pub(crate) trait Gzip {
    fn gzip(&self, text: &[u8]) -> io::Result<Vec<u8>>;
}

/// Writes the text in the parts that [`std::io::copy`] would use.
fn write_parts(text: &[u8], mut writer: impl io::Write) -> io::Result<()> {
    text.chunks(8 << 10).try_for_each(|part| writer.write_all(part))
}

/// Collects a stream, for peers that only have streams. Batches of up to 1024 items fit in the
/// window; for larger batches, the window is so large that it hardly limits them.
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

/// A [`Collect`] that collects a [`Stream`].
pub(crate) struct Collected<P>(pub(crate) P);

impl<P: Stream> Collect for Collected<P> {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        collect_stream(&self.0, count, job)
    }
}
