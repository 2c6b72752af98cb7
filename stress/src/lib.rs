//! Real threads, made to meet where it matters: what the checks of this folder have in common.

mod delay;
mod random;

pub use delay::with_delays;
pub use random::Random;
