//! What the user may ask for.

use std::time::Duration;

use clap::{Parser, value_parser};

/// Runs a producer and a consumer that wait for each other, as threads and as tokio tasks, and
/// tells what the waiting costs.
///
/// Fails if an item is lost, doubled, changed or out of order, or if nothing moves any more: then a
/// wake-up was lost.
#[derive(Parser, Debug)]
#[command(name = "waiting")]
pub(crate) struct Args {
    /// How many items each of the runs passes on
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub(crate) items: u64,

    /// How many items are under way at once, rounded up to a power of two
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u32).range(1..=1 << 20))]
    pub(crate) window: u32,

    /// After how many seconds without any progress a run has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(1..))]
    stall: u64,
}

impl Args {
    pub(crate) fn stall(&self) -> Duration {
        Duration::from_secs(self.stall)
    }
}
