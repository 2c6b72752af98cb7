//! Measures what an item costs over NATS JetStream. It compares an owner and workers with a program
//! that uses JetStream alone, and with the executor of one process. All jobs sleep.
//!
//! ```sh
//! cargo xtask nats -- cargo run --release -p benches --features nats --bin remote_cost
//! ```
//!
//! | column | meaning |
//! |---|---|
//! | used | the part of the workers' time in which jobs ran |
//! | cost | the rest of this time, divided by the number of jobs |
//!
//! A job that sleeps for 1 ms takes longer. The meter counts the time that it takes.

mod bare;
mod meter;
mod ours;

use std::error::Error;
use std::thread;
use std::time::Duration;

use clap::Parser;
use meter::{Meter, Usage};
use reorder_executor::Executor;

type AnyError = Box<dyn Error + Send + Sync>;

/// The time after which a measurement begins. An owner delivers nothing before it has waited for a
/// lease.
const SETTLE: Duration = Duration::from_millis(1500);

#[derive(Parser)]
#[command(about = "Measures what an item costs over NATS JetStream")]
struct Args {
    /// URL of a server. `cargo xtask nats -- COMMAND` sets it.
    #[arg(long, env = "REORDER_NATS_URL")]
    nats: String,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Times of a job, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    millis: Vec<u64>,
    /// Numbers of workers. Each runs one job at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    workers: Vec<usize>,
    /// Sizes of the window.
    #[arg(long, value_delimiter = ',', default_value = "64,256,1024")]
    windows: Vec<usize>,
    /// Numbers of items per message. An owner takes a quarter of its window at most.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    items: Vec<usize>,
}

/// Describes one measurement.
#[derive(Clone, Copy, Debug)]
struct Case {
    job: Duration,
    workers: usize,
    window: usize,
    items_per_message: usize,
    time: Duration,
}

fn main() -> Result<(), AnyError> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("| job | workers | window | per message | used | cost | JetStream alone | executor |");
    println!("|---|---|---|---|---|---|---|---|");
    for &millis in &args.millis {
        for &workers in &args.workers {
            let case = Case {
                job: Duration::from_millis(millis),
                workers,
                window: 0,
                items_per_message: 1,
                time: Duration::from_secs_f64(args.seconds),
            };
            let local = executor(case)?;
            for &window in &args.windows {
                let case = Case { window, ..case };
                let bare = runtime.block_on(bare::run(case, &args.nats))?;
                let mut measured = Vec::new();
                for &items in &args.items {
                    let items_per_message = items.clamp(1, (window / 4).max(1));
                    if measured.contains(&items_per_message) {
                        continue;
                    }
                    measured.push(items_per_message);
                    let case = Case { items_per_message, ..case };
                    let ours = runtime.block_on(ours::run(case, &args.nats))?;
                    println!(
                        "| {millis} ms | {workers} | {window} | {items_per_message} | {} | {} | {} \
                         | {} |",
                        ours.used(),
                        ours.cost(),
                        bare.cost(),
                        local.cost()
                    );
                }
            }
        }
    }
    Ok(())
}

/// Measures a stream of the executor.
fn executor(case: Case) -> Result<Usage, AnyError> {
    let executor = Executor::builder().workers(case.workers).build()?;
    let meter = Meter::start(case);
    let job = meter.clone();
    for outcome in executor.stream(0u64.., move |item| job.run(item)) {
        outcome?;
        if meter.is_over() {
            break;
        }
    }
    // The last jobs end.
    thread::sleep(2 * case.job);
    Ok(meter.usage())
}
