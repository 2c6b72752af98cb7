//! The items of streams and batches, on their way from the thread that pulls them to another one.

use std::fmt;
use std::ops::Range;

use crate::io::{Handover, PullBuffer};
use crate::map::{BlockLayout, Output, SharedSource, WorkRanges, of_iterator};

/// The items of a pull, and their hand-over to another thread.
pub struct PulledItems(Handover<usize, ()>);

impl Default for PulledItems {
    fn default() -> Self {
        PulledItems(Handover::new(()))
    }
}

impl PulledItems {
    /// Pulls items from `source`, and returns the items that no other thread has taken over.
    pub fn pull(&self, source: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut items = PullBuffer::<_, 4>::new();
        // SAFETY: the models pull on one thread. The pull ends below.
        let mut shared = unsafe { self.0.share(&mut items) };
        let mut put = shared.publisher();
        for item in source {
            if !put(item) {
                break;
            }
        }
        drop(put);
        drop(shared.end());
        items.collect()
    }

    /// Looks once, as the monitor does.
    pub fn look(&self) {
        self.0.look();
    }

    /// Takes over the items of a puller that is blocked.
    pub fn take_over(&self) -> Vec<usize> {
        let mut items = PullBuffer::<_, 4>::new();
        drop(self.0.take_over(&mut items, 4));
        items.collect()
    }
}

impl fmt::Debug for PulledItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PulledItems").finish_non_exhaustive()
    }
}

/// The source of a batch, and its items that no thread has claimed.
pub struct BatchItems {
    source: SharedSource<Box<dyn Iterator<Item = usize> + Send>>,
    output: Output<usize, usize>,
    layout: BlockLayout,
}

impl BatchItems {
    /// Returns a batch of `count` items, of which each is its own index.
    pub fn new(count: usize, source: impl Iterator<Item = usize> + Send + 'static) -> BatchItems {
        BatchItems {
            source: of_iterator(Box::new(source)),
            output: Output::new(count),
            layout: BlockLayout::new(count),
        }
    }

    /// Pulls items, until the source has ended or was blocked. Leaves all of them to other threads.
    pub fn pull(&self) {
        if let Some(puller) = self.source.try_start() {
            puller.pull(self.layout, &self.output, 0);
        }
    }

    /// Takes over the items that a puller has left.
    pub fn take_over(&self) -> Range<usize> {
        self.source.take_over(usize::MAX).unwrap_or(0..0)
    }
}

impl fmt::Debug for BatchItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchItems").finish_non_exhaustive()
    }
}

/// The ranges of the unstarted items of a batch.
pub struct Ranges(WorkRanges);

impl Ranges {
    /// Returns an empty range for each participant.
    pub fn new(participants: usize) -> Ranges {
        Ranges(WorkRanges::new(participants))
    }

    /// Puts items into the empty range of their puller.
    pub fn put(&self, owner: usize, items: Range<u32>) {
        self.0.put(owner, items);
    }

    /// Steals items of another participant, and claims one of them unless it was stolen meanwhile.
    pub fn steal_and_claim(&self, owner: usize) -> Option<u32> {
        self.0.steal_half(owner)?;
        self.0.claim(owner, 1).map(|items| items.start)
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranges").finish_non_exhaustive()
    }
}
