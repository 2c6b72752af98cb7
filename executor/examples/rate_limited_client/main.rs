//! Calls a rate-limited service from several threads through one executor, in order.
//!
//! ```sh
//! cargo run --release --example rate_limited_client -- [--batches N] [--items N] [--workers N]
//! ```
//!
//! The service is a server of this process, on the loopback alone: it answers so many requests in any 200 ms, and 429 to the
//! rest, with a `Retry-After`; now and then 503, late, or not at all. The same items are fetched four times:
//!
//! * by a naive pool, which sleeps in its threads when it is refused;
//! * by requests that block, at the pace of a limiter;
//! * by the same without a pace: the throttle finds out how fast the server may be asked;
//! * by requests that are futures, on a runtime of one thread.
//!
//! Each time there is a table at the end, with what the server counted itself. The process fails unless every batch came complete,
//! in order and with the right content, and the server never saw more than its limit from those that kept the pace.

mod args;
mod batch;
mod client;
mod display;
mod item;
mod naive;
mod server;
mod table;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use batch::{Approach, Fleet};
use server::Server;

fn main() -> ExitCode {
    let args = Args::parse();
    let server = match Server::start() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("error: no server on the loopback: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", server::LIMIT);
    naive::run(&server, &args);
    let mut is_well = true;
    for approach in [Approach::Paced, Approach::Throttled, Approach::Futures] {
        let fleet = Fleet::run(&server, &args, approach);
        table::print(&fleet);
        is_well &= fleet.is_well();
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
