//! The arguments of the program.

use std::time::Duration;

use clap::{Parser, value_parser};

/// Runs a producer and a consumer that wait for each other, as threads and as tokio tasks, and
/// prints what the waiting costs.
///
/// Fails if an item is lost, duplicated, changed or out of order. Also fails if a run makes no
/// progress any more, as it does after a lost wake-up.
#[derive(Parser, Debug)]
#[command(name = "waiting")]
pub(crate) struct Args {
    /// Items of each run
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub(crate) items: u64,

    /// Capacity of the ring, rounded up to a power of two
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = value_parser!(u32).range(1..=1 << 20)
    )]
    pub(crate) window: u32,

    /// Seconds without progress after which a run fails
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = value_parser!(u64).range(1..)
    )]
    stall: u64,
}

impl Args {
    pub(crate) fn stall(&self) -> Duration {
        Duration::from_secs(self.stall)
    }
}
