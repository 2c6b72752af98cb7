//! Slots with a plain flag each, without any checks.
//!
//! A worker that completes an index twice, too late, or another worker's index, corrupts the data.
//!
//! The caller puts items into the slots and takes the results from them. The workers share a
//! counter. No thread sleeps: a waiting thread spins, then yields.

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

/// Returns the flag that says that the slot holds the item of `index`.
const fn item_of(index: u64) -> u64 {
    2 * index + 1
}

/// Returns the flag that says that the slot holds the result of `index`.
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

    /// Runs the job on one item after the other, until the end.
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
            // SAFETY: with this flag, only the worker that claimed the index accesses the slot. The
            // load of the flag synchronises with the caller's store.
            let item = unsafe { self.items.take(index) }.expect("the flag says so");
            // SAFETY: as for the item.
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
        let for_workers = Arc::clone(&shared);
        self.0.run_on_each(move || for_workers.work(job));

        let mut source = source.fuse();
        let (mut fed, mut taken) = (0, 0);
        let backoff = Backoff::new();
        loop {
            while fed < taken + window as u64 {
                let Some(item) = source.next() else {
                    shared.end.store(fed, Ordering::Relaxed);
                    break;
                };
                // SAFETY: only the caller accesses the slot, for it has taken the slot's last
                // result.
                unsafe { shared.items.put(fed, item) };
                shared.flag(fed).store(item_of(fed), Ordering::Release);
                fed += 1;
            }
            if taken == fed {
                return;
            }
            if shared.flag(taken).load(Ordering::Acquire) == result_of(taken) {
                // SAFETY: with this flag, only the caller accesses the slot. The load of the flag
                // synchronises with the worker's store.
                sink(unsafe { shared.results.take(taken) }.expect("the flag says so"));
                taken += 1;
                backoff.reset();
            } else {
                backoff.snooze();
            }
        }
    }
}
