//! `std::thread::scope`, with an equal part for each thread, or with a thread for each item.

use std::mem::MaybeUninit;
use std::thread;

use super::Collect;
use crate::compare::job::Job;

/// A peer that splits a batch into equal parts. The caller runs the last part.
pub(crate) struct StaticSplit(pub(crate) usize);

impl Collect for StaticSplit {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let count = count as usize;
        let part = count.div_ceil(self.0).max(1);
        let mut results = Vec::with_capacity(count);
        let fill = |(number, output): (usize, &mut [MaybeUninit<U>])| {
            for (index, slot) in (number * part..).zip(output) {
                slot.write(job(index as u64));
            }
        };
        thread::scope(|scope| {
            let mut parts = results.spare_capacity_mut()[..count].chunks_mut(part).enumerate();
            let last = parts.next_back();
            for part in parts {
                scope.spawn(move || fill(part));
            }
            last.into_iter().for_each(fill);
        });
        // SAFETY: the parts cover all `count` elements, and all parts have been filled.
        unsafe { results.set_len(count) };
        results
    }
}

pub(crate) struct ThreadPerItem;

impl Collect for ThreadPerItem {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        thread::scope(|scope| {
            let start = |index| scope.spawn(move || job(index));
            let threads: Vec<_> = (0..count).map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("no job panics")).collect()
        })
    }
}
