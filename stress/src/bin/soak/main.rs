//! Tests all parts at the same time, for a given time. 18 threads work, with delays before their
//! steps.
//!
//! Each round has its own random numbers, and runs three loads beside each other:
//!
//! * `traffic`: batches of all sizes on the rings of a pool. Some tickets come late, twice, damaged
//!   or to the wrong ring, and some batches are cancelled.
//! * `drop_panics`: batches of values whose `Drop` panics.
//! * `calls`: calls of one executor from many threads. Some jobs, sources and drops of results
//!   panic.
//!
//! Each load checks all answers. At the end of a round, all values are dropped and all rings freed.

mod calls;
mod drop_panics;
mod memory;
mod report;
#[path = "../../../../reorder/tests/pool/traffic/mod.rs"]
mod traffic;

use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use reorder_stress::joined;

use report::Report;
use traffic::{Plan, Traffic};

/// Tests all parts of the crates at the same time and checks every answer. Has delays only with
/// `--cfg reorder_hooks`.
#[derive(Parser, Debug)]
#[command(name = "soak")]
struct Args {
    /// Minutes to run
    #[arg(value_name = "MINUTES")]
    minutes: f64,

    /// Seed of the random numbers of the first round
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// The bytes of idle rings that the pool keeps: so few that it frees rings all the time.
const IDLE_LIMIT: usize = 1 << 20;
/// The threads of the traffic.
const TRAFFIC: usize = 6;
/// The threads that own batches of values with panicking drops. Each has a second thread that
/// completes.
const DROP_PANICS: u64 = 2;
/// The threads that call the executor.
const CALLERS: u64 = 5;
/// The workers of the executor.
const WORKERS: usize = 3;

fn main() {
    let Args { minutes, seed } = Args::parse();
    reorder_stress::delay_everywhere();
    let (start, time) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let mut report = Report::default();
    while report.rounds == 0 || start.elapsed() < time {
        round(seed + report.rounds, &mut report);
        report.rounds += 1;
        report.peak = memory::peak();
        if report.rounds.is_power_of_two() {
            println!(
                "soak: {} rounds, {:.0?}, at most {} KiB",
                report.rounds,
                start.elapsed(),
                report.peak
            );
        }
    }
    println!("{report}");
    report.assert_all();
}

fn round(seed: u64, report: &mut Report) {
    let executor =
        reorder_executor::Executor::builder().workers(WORKERS).window(32).build().unwrap();
    thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let plan =
                Plan { threads: 60, at_once: TRAFFIC, idle_limit: IDLE_LIMIT, seed: seed as usize };
            let outcome = Traffic::new(plan).run();
            outcome.assert_memory_is_bounded();
            outcome.answers
        });
        let drop_panics: Vec<_> = (0..DROP_PANICS)
            .map(|n| scope.spawn(move || drop_panics::run(seed * DROP_PANICS + n)))
            .collect();
        let executor = &executor;
        let calls: Vec<_> = (0..CALLERS)
            .map(|n| scope.spawn(move || calls::run(executor, seed * CALLERS + n)))
            .collect();
        report.traffic.add(&joined(traffic));
        drop_panics.into_iter().for_each(|thread| report.drop_panics.add(&joined(thread)));
        calls.into_iter().for_each(|thread| report.calls.add(&joined(thread)));
    });
    drop(executor);
    calls::assert_no_results_left();
}
