//! What the user may ask for.

use clap::{Parser, value_parser};

/// Calls a rate-limited service from several threads through one executor, in order.
///
/// The service is a server of this process, on the loopback alone.
#[derive(Parser, Debug)]
#[command(name = "rate_limited_client")]
pub(crate) struct Args {
    /// Batches, each fetched by a thread of its own
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=64))]
    pub(crate) batches: u32,

    /// Items of each batch
    #[arg(short, long, value_name = "N", default_value_t = 150, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) items: u32,

    /// Threads that make requests which block
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
}
