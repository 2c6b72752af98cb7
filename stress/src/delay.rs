//! Delays between the steps of an operation, where another thread could make a difference. With
//! `--cfg reorder_hooks` only: without it, nothing is ever delayed.

#[cfg(reorder_hooks)]
use std::{cell::RefCell, hint, thread, time::Duration};

#[cfg(reorder_hooks)]
use crate::random::Random;

/// Runs `f`. Before some of the steps that this thread takes in the ring, chosen by `seed`, it lets others
/// run.
pub fn with_delays<R>(seed: u64, f: impl FnOnce() -> R) -> R {
    #[cfg(reorder_hooks)]
    {
        let mut random = Random::new(seed);
        reorder_ring::hook::with(move || delay(&mut random), f)
    }
    #[cfg(not(reorder_hooks))]
    {
        _ = seed;
        f()
    }
}

/// From now on, every thread lets others run before some of its steps in the ring and the executor.
pub fn delay_everywhere() {
    #[cfg(reorder_hooks)]
    reorder_ring::hook::everywhere(|| {
        std::thread_local! {
            static RANDOM: RefCell<Option<Random>> = const { RefCell::new(None) };
        }
        // A thread that ends has no numbers any more.
        _ = RANDOM.try_with(|random| {
            let mut random = random.borrow_mut();
            rarely_delay(random.get_or_insert_with(|| Random::new(crate::number_of_thread())));
        });
    });
}

#[cfg(reorder_hooks)]
fn delay(random: &mut Random) {
    match random.below(256) {
        0 => thread::sleep(Duration::from_micros(20)),
        1..64 => thread::yield_now(),
        64..96 => (0..random.below(64)).for_each(|_| hint::spin_loop()),
        _ => {}
    }
}

#[cfg(reorder_hooks)]
fn rarely_delay(random: &mut Random) {
    match random.below(4096) {
        0 => thread::sleep(Duration::from_micros(50)),
        1..64 => thread::yield_now(),
        64..128 => (0..random.below(256)).for_each(|_| hint::spin_loop()),
        _ => {}
    }
}
