//! Delays before accesses to shared memory, so that other threads run between the steps of an
//! operation. They need `--cfg reorder_hooks`. Without it, the functions here delay nothing.

#[cfg(reorder_hooks)]
use std::{cell::RefCell, hint, thread, time::Duration};

#[cfg(reorder_hooks)]
use crate::random::Random;

/// Runs `f` with delays before some of the steps that this thread takes in the ring. `seed` selects
/// the steps.
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

/// Delays some of the steps that each thread takes in the ring and in the executor, from now on.
pub fn delay_everywhere() {
    #[cfg(reorder_hooks)]
    reorder_ring::hook::everywhere(|| {
        std::thread_local! {
            static RANDOM: RefCell<Option<Random>> = const { RefCell::new(None) };
        }
        // A thread that ends has dropped its generator, and is not delayed.
        _ = RANDOM.try_with(|random| {
            let mut random = random.borrow_mut();
            rarely_delay(random.get_or_insert_with(|| Random::new(crate::thread_number())));
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
