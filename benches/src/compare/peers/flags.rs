//! Slots with a plain flag each, that nothing checks: whoever comes twice, late or with another's
//! index corrupts it.
//!
//! The caller feeds items through the slots and takes the results from there, the workers share a
//! counter. Nobody sleeps: whoever waits spins, then yields.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::{Backoff, CachePadded};

use super::{Pool, Slots, Stream};
use crate::compare::job::Job;

pub(crate) struct Flags(Pool);

impl Flags {
    pub(crate) fn new(threads: usize) -> Flags {
        Flags(Pool::new(threads))
    }
}

/// What the flag of `index` is set to when the item is there, and when the result is.
const fn item_of(index: u64) -> u64 {
    2 * index + 1
}

const fn result_of(index: u64) -> u64 {
    2 * index + 2
}

struct Shared<I, U> {
    flags: Box<[AtomicU64]>,
    items: Slots<I>,
    results: Slots<U>,
    claimed: CachePadded<AtomicU64>,
    end: CachePadded<AtomicU64>,
}

impl<I, U> Shared<I, U> {
    fn new(window: usize) -> Shared<I, U> {
        Shared {
            flags: (0..window).map(|_| AtomicU64::new(0)).collect(),
            items: Slots::new(window),
            results: Slots::new(window),
            claimed: CachePadded::default(),
            end: CachePadded::new(AtomicU64::new(u64::MAX)),
        }
    }

    fn flag(&self, index: u64) -> &AtomicU64 {
        &self.flags[index as usize % self.flags.len()]
    }

    /// One item after the other, to the end.
    fn work(&self, job: impl Job<I, U>) {
        loop {
            let index = self.claimed.fetch_add(1, Ordering::Relaxed);
            let backoff = Backoff::new();
            while self.flag(index).load(Ordering::Acquire) != item_of(index) {
                if index >= self.end.load(Ordering::Relaxed) {
                    return;
                }
                backoff.snooze();
            }
            // SAFETY: the flag gives the slot to whoever claimed its index.
            let item = unsafe { self.items.take(index) }.expect("the flag says so");
            // SAFETY: as above.
            unsafe { self.results.put(index, job(item)) };
            self.flag(index).store(result_of(index), Ordering::Release);
        }
    }
}

impl Stream for Flags {
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
        let shared = Arc::new(Shared::new(window));
        let of_worker = Arc::clone(&shared);
        self.0.run_on_each(move || of_worker.work(job));

        let mut source = source.fuse();
        let (mut fed, mut taken) = (0, 0);
        let backoff = Backoff::new();
        loop {
            while fed < taken + window as u64 {
                let Some(item) = source.next() else {
                    shared.end.store(fed, Ordering::Relaxed);
                    break;
                };
                // SAFETY: the caller took what was in the slot before.
                unsafe { shared.items.put(fed, item) };
                shared.flag(fed).store(item_of(fed), Ordering::Release);
                fed += 1;
            }
            if taken == fed {
                return;
            }
            if shared.flag(taken).load(Ordering::Acquire) == result_of(taken) {
                // SAFETY: the flag gives the slot to the caller.
                sink(unsafe { shared.results.take(taken) }.expect("the flag says so"));
                taken += 1;
                backoff.reset();
            } else {
                backoff.snooze();
            }
        }
    }
}
