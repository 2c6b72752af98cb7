//! Calls a rate-limited service from several threads through one executor, in order.
//!
//! ```sh
//! cargo run --release --example rate_limited_client -- [--batches N] [--items N] [--workers N]
//! ```
//!
//! The service is a server in this process, which listens on the loopback interface only. It
//! answers 50 requests in any 200 ms. It refuses further requests with 429 and a `Retry-After`. It
//! answers some requests with 503 or 404, some late, and some not at all.
//!
//! The program fetches the same items four times, and prints a table with the counts of the server
//! each time:
//!
//! * by a naive pool, whose threads sleep after a refusal;
//! * by blocking requests at the pace of a rate limiter;
//! * by blocking requests without a pace, for which the server closes the service again and again;
//! * by futures, on a runtime with one thread.
//!
//! The last line states the conclusion. The program fails if a batch is incomplete, out of order,
//! or has wrong content. It also fails if requests with a pace exceed the limit of the server.

mod args;
mod batch;
mod client;
mod conclusion;
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
use batch::{Approach, Run};
use naive::Naive;
use server::Server;

fn main() -> ExitCode {
    let args = Args::parse();
    let server = match Server::start() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("error: cannot start a server on the loopback interface: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", server::LIMIT);
    let naive = Naive::new(&server, &args);
    print!("{naive}");
    let runs = [Approach::Paced, Approach::Unpaced, Approach::Futures].map(|approach| {
        let run = Run::new(&server, &args, approach);
        print!("{}", table::of(&run));
        run
    });
    println!("\n{}", conclusion::of(&naive, &runs));
    if runs.iter().all(Run::is_correct) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
