//! Calls a rate-limited service from several threads through one executor, in order.
//!
//! ```sh
//! cargo run --release --example rate_limited_client -- [--batches N] [--items N] [--workers N]
//! ```
//!
//! The service is a server in this process, which listens on the loopback interface only. It has
//! two quotas, and refuses further requests with 429 and a `Retry-After`. It answers some requests
//! with 503 or 404, some late, and some not at all.
//!
//! The program fetches the same items five times, and prints a table with the counts of the server
//! each time:
//!
//! | client | shows |
//! |---|---|
//! | a naive pool | threads that sleep after a refusal |
//! | blocking requests without quotas | the server's word counts: a refusal closes the service for all |
//! | blocking requests within quotas | several quotas at once; retries with time-outs and a budget |
//! | futures with hedges | a second attempt beside the first item, if that takes too long |
//! | futures with hedges, by key | a slow item that holds back its own key only |
//!
//! `requests.rs` has the settings of these requests. The last line states the conclusion. The
//! program fails if a batch is incomplete, out of order, or has wrong content. It also fails if
//! requests within the quotas exceed a limit of the server.

mod args;
mod client;
mod conclusion;
mod display;
mod naive;
mod outcomes;
mod requests;
mod run;
mod server;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use naive::Naive;
use requests::Approach;
use run::Run;
use server::Server;

fn main() -> ExitCode {
    match report(&Args::parse(), |text| println!("{text}")) {
        Ok(runs) if runs.iter().all(Run::is_correct) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cannot start a server on the loopback interface: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Fetches the items in each way, and prints the results.
fn report(args: &Args, mut print: impl FnMut(String)) -> io::Result<Vec<Run>> {
    let server = Server::start()?;
    print(server::description());
    let naive = Naive::new(&server, args);
    print(naive.to_string());
    let runs: Vec<Run> = Approach::ALL
        .into_iter()
        .map(|approach| {
            let run = Run::new(&server, args, approach);
            print(table::of(&run));
            run
        })
        .collect();
    print(conclusion::of(&naive, &runs));
    Ok(runs)
}
