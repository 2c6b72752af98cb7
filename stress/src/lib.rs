//! Shared code of the stress tests: random numbers, and delays that make real threads race.

mod delay;
mod random;

pub use delay::{delay_everywhere, with_delays};
pub use random::Random;

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
