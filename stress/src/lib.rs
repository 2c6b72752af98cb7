//! Shared code of the stress tests: random numbers, items that are counted, and delays that make
//! real threads race.

mod delay;
mod item;
mod random;

use std::panic;
use std::thread::ScopedJoinHandle;

pub use delay::{delay_everywhere, with_delays};
pub use item::{Counted, ItemId};
pub use random::Random;

/// Joins a thread, and resumes its panic.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}

/// Returns the number of the calling thread, which is unique in this process.
#[cfg(reorder_hooks)]
fn thread_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    std::thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}
