//! Delays between the steps of an operation, where another thread could make a difference.

use crate::random::Random;

/// Runs `f`. Before some of the steps that this thread takes in the ring, chosen by `seed`, it lets others
/// run; with `--cfg reorder_hooks` only.
pub fn with_delays<R>(seed: u64, f: impl FnOnce() -> R) -> R {
    let mut random = Random::new(seed);
    #[cfg(reorder_hooks)]
    return reorder_ring::hook::with(move || delay(&mut random), f);
    #[cfg(not(reorder_hooks))]
    {
        _ = &mut random;
        f()
    }
}

#[cfg(reorder_hooks)]
fn delay(random: &mut Random) {
    match random.below(256) {
        0 => std::thread::sleep(std::time::Duration::from_micros(20)),
        1..64 => std::thread::yield_now(),
        64..96 => (0..random.below(64)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
}
