//! The queue of the blocks of a writer.

use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::block_io::block::{Block, Cut};
use crate::block_io::broken::failed;
use crate::block_io::spares::{FreeOnDrop, Spares};
use crate::executor::Executor;
use crate::outcome::Outcome;
use crate::primitive::AtomicU64;
use crate::queue::sender::{QueueSender, TrySendError};
use crate::stream::Ordered;
use crate::unwind::discard;

/// An encoded block.
pub(super) struct Encoded<T> {
    pub(super) output: Vec<u8>,
    pub(super) result: io::Result<T>,
}

/// The blocks that were sent and whose outputs were not taken.
pub(super) struct Encoding<T: Send + 'static> {
    sender: QueueSender<Cut, Encoded<T>>,
    /// `None` once it is dropped.
    outcomes: Option<Ordered<'static, Encoded<T>>>,
    /// The number of blocks that were sent and whose outputs were not taken.
    outstanding: u64,
    failed: Arc<FailedAt>,
    /// `true` if the thread that takes outputs also encodes blocks while it waits for one.
    helps: bool,
    /// Dropped after the outcomes.
    _spares: FreeOnDrop,
}

impl<T: Send + 'static> Encoding<T> {
    pub(super) fn start(
        executor: &Executor,
        window: usize,
        spares: Spares,
        encode: impl Fn(&Block<'_>, &mut Vec<u8>) -> io::Result<T> + Send + Sync + 'static,
    ) -> Encoding<T> {
        let failed = Arc::new(FailedAt(AtomicU64::new(u64::MAX)));
        let failed_at = Arc::clone(&failed);
        let buffers = spares.clone();
        let job = move |cut: Cut| {
            let mut output = buffers.take();
            // Its drop notes a failure, also if the encoder panics.
            let note = NoteOnDrop { failed_at: &failed_at, index: cut.index };
            let result = match failed_at.is_before(cut.index) {
                true => Err(ErrorKind::Other.into()),
                false => encode(&cut.block(), &mut output),
            };
            if result.is_ok() {
                mem::forget(note);
            }
            buffers.put(cut.bytes);
            Encoded { output, result }
        };
        let (sender, outcomes) = executor.queue(job).window(window).open();
        let helps = executor.scheduler.consumer_helps;
        let (outcomes, _spares) = (Some(outcomes), FreeOnDrop(spares));
        Encoding { sender, outcomes, outstanding: 0, failed, helps, _spares }
    }

    /// Returns `true` if an encoder has failed. Then [`take`](Encoding::take) returns the outputs
    /// of the blocks before it, and after them its error.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_before(u64::MAX)
    }

    /// Sends a block, unless the window is full.
    pub(super) fn try_send(&mut self, cut: Cut) -> Result<(), TrySendError<Cut>> {
        self.sender.try_send(cut)?;
        self.outstanding += 1;
        Ok(())
    }

    /// Returns the next output if it is ready.
    pub(super) fn take_ready(&mut self) -> io::Result<Option<Encoded<T>>> {
        let Some(outcomes) = self.outcomes.as_mut().filter(|_| self.outstanding > 0) else {
            return Ok(None);
        };
        let next = outcomes.next_ready();
        self.accept(next)
    }

    /// Returns the next output, or `None` if all were taken. While the output is not ready, this
    /// thread encodes blocks if it helps, and then waits.
    pub(super) fn take(&mut self) -> io::Result<Option<Encoded<T>>> {
        loop {
            let ready = self.take_ready()?;
            if ready.is_some() || self.outstanding == 0 {
                return Ok(ready);
            }
            if !self.helps || !self.sender.run_next() {
                break;
            }
        }
        let next = self.outcomes.as_mut().and_then(Ordered::next);
        self.accept(next)
    }

    fn accept(&mut self, next: Option<Outcome<Encoded<T>>>) -> io::Result<Option<Encoded<T>>> {
        let Some(outcome) = next else { return Ok(None) };
        self.outstanding -= 1;
        outcome.map(Some).map_err(failed)
    }
}

impl<T: Send + 'static> Drop for Encoding<T> {
    fn drop(&mut self) {
        // The `Drop` of a value may panic.
        discard(self.outcomes.take());
    }
}

/// The lowest index of a block whose encoder has failed, or `u64::MAX`. The writer needs no block
/// behind it.
struct FailedAt(AtomicU64);

impl FailedAt {
    fn is_before(&self, index: u64) -> bool {
        // ORDERING: encoding:failed: Relaxed; a hint. The outcomes of the queue are ordered.
        self.0.load(Relaxed) < index
    }
}

struct NoteOnDrop<'a> {
    failed_at: &'a FailedAt,
    index: u64,
}

impl Drop for NoteOnDrop<'_> {
    fn drop(&mut self) {
        // ORDERING: encoding:fail: Relaxed; as `encoding:failed`.
        self.failed_at.0.fetch_min(self.index, Relaxed);
    }
}
