//! The arguments of the program.

use clap::{Parser, value_parser};

/// Calls a rate-limited service from several threads through one executor, in order.
///
/// The service is a server in this process, which listens on the loopback interface only.
#[derive(Parser, Debug)]
#[command(name = "rate_limited_client")]
pub(crate) struct Args {
    /// Number of batches, with one calling thread each
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = value_parser!(u32).range(1..=64)
    )]
    pub(crate) batches: u32,

    /// Number of items per batch
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 40,
        value_parser = value_parser!(u32).range(1..=100_000)
    )]
    pub(crate) items: u32,

    /// Number of threads that make blocking requests
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = value_parser!(u16).range(1..=256)
    )]
    pub(crate) workers: u16,
}
