//! The usual bound of bytes: a semaphore whose permits are bytes, channels, and a heap for results
//! that come early. A thread of its own acquires the bytes of each item in the order of the items.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crossbeam_channel::unbounded;

use super::{Indexed, Load, Pool, Reorder, Weighed};
use crate::compare::job::Job;

pub(crate) struct SemaphoreHeap(Pool);

impl SemaphoreHeap {
    pub(crate) fn new(threads: usize) -> SemaphoreHeap {
        SemaphoreHeap(Pool::new(threads))
    }
}

impl Weighed for SemaphoreHeap {
    fn run<J: Job<usize, Vec<u8>>>(&self, load: Load<J>, mut sink: impl FnMut(Vec<u8>)) {
        let Load { sizes, budget, job } = load;
        let semaphore = Arc::new(Semaphore::new(budget));
        let (items, queue) = unbounded();
        let (results, finished) = unbounded();
        self.0.run_on_each(move || {
            for (index, size) in queue {
                let result = Indexed(index, job(size));
                results.send(result).expect("the consumer waits for all results");
            }
        });
        let (sent, acquired) = (Arc::clone(&sizes), Arc::clone(&semaphore));
        let feeder = thread::spawn(move || {
            for (index, &size) in (0..).zip(&*sent) {
                acquired.acquire(size as u64);
                items.send((index, size)).expect("the workers wait for items");
            }
        });
        let mut early = Reorder::starting_at(0);
        for &size in &*sizes {
            let result = loop {
                match early.take() {
                    Some(result) => break result,
                    None => early.put(finished.recv().expect("a result is outstanding")),
                }
            };
            sink(result);
            semaphore.release(size as u64);
        }
        feeder.join().expect("the feeder does not panic");
    }
}

/// A semaphore. One thread acquires, and another thread releases.
struct Semaphore {
    free: Mutex<u64>,
    released: Condvar,
    all: u64,
}

impl Semaphore {
    fn new(permits: u64) -> Semaphore {
        Semaphore { free: Mutex::new(permits), released: Condvar::new(), all: permits }
    }

    /// Takes this number of permits, or all of them for a greater number.
    fn acquire(&self, permits: u64) {
        let wanted = permits.min(self.all);
        let mut free = self.free.lock().expect("no thread panics with it");
        while *free < wanted {
            free = self.released.wait(free).expect("no thread panics with it");
        }
        *free -= wanted;
    }

    fn release(&self, permits: u64) {
        *self.free.lock().expect("no thread panics with it") += permits.min(self.all);
        self.released.notify_one();
    }
}
