//! Real threads, made to meet where it matters: what the checks of this folder have in common.

mod delay;
mod random;

pub use delay::{delay_everywhere, with_delays};
pub use random::Random;

/// A number that no other thread of this process has.
#[cfg(reorder_hooks)]
fn number_of_thread() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    std::thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}
