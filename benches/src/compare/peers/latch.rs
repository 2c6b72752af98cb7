//! A slot for each result, and a latch that counts down: the least that a finite batch needs.
//! Workers claim chunks from a counter; there are about eight chunks per thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::{Collect, Pool, Slots};
use crate::compare::job::Job;

pub(crate) struct Latch {
    pool: Pool,
    threads: u64,
}

impl Latch {
    pub(crate) fn new(threads: usize) -> Latch {
        Latch { pool: Pool::new(threads), threads: threads as u64 }
    }
}

struct Batch<U> {
    slots: Slots<U>,
    next: AtomicU64,
    missing: AtomicU64,
    done: Mutex<bool>,
    all: Condvar,
}

impl<U> Batch<U> {
    fn new(count: u64) -> Batch<U> {
        Batch {
            slots: Slots::new(count as usize),
            next: AtomicU64::new(0),
            missing: AtomicU64::new(count),
            done: Mutex::new(count == 0),
            all: Condvar::new(),
        }
    }

    fn work(&self, chunk: u64, job: impl Job<u64, U>) {
        let count = self.slots.len() as u64;
        loop {
            let start = self.next.fetch_add(chunk, Ordering::Relaxed);
            let chunk = start..count.min(start.saturating_add(chunk));
            if chunk.is_empty() {
                return;
            }
            let ran = chunk.end - chunk.start;
            for index in chunk {
                // SAFETY: the counter gives each index to one thread, and the caller takes the
                // results later.
                unsafe { self.slots.put(index, job(index)) };
            }
            if self.missing.fetch_sub(ran, Ordering::AcqRel) == ran {
                *self.done.lock().expect(NO_PANIC) = true;
                self.all.notify_one();
            }
        }
    }

    fn wait(&self) {
        let done = self.done.lock().expect(NO_PANIC);
        let done = self.all.wait_while(done, |done| !*done);
        drop(done.expect(NO_PANIC));
    }
}

const NO_PANIC: &str = "no thread panics while it holds the lock";

impl Collect for Latch {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let batch = Arc::new(Batch::new(count));
        let chunk = (count / (8 * self.threads)).max(1);
        let for_workers = Arc::clone(&batch);
        self.pool.run_on_each(move || for_workers.work(chunk, job));
        batch.wait();
        // SAFETY: the workers have put all results before the latch opened, and the wait for the
        // latch synchronises with them.
        let take = |index| unsafe { batch.slots.take(index) }.expect("all results are there");
        (0..count).map(take).collect()
    }
}
