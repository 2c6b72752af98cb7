//! Everything at once, for as long as it is told: sixteen threads, with delays before their steps.
//!
//! In rounds of which each has its own numbers: batches of all sizes over a pool, with tickets that come late,
//! twice, damaged, or to the wrong ring, and cancellations (`traffic`); values whose `Drop` panics
//! (`fragile`); calls of one executor from many threads, with jobs, sources and results that panic
//! (`calls`). Each checks what it is answered. At the end of a round all values are gone, and all rings.

mod calls;
mod fragile;
mod memory;
mod report;
#[path = "../../../../reorder/tests/pool/traffic/mod.rs"]
mod traffic;

use std::panic;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use report::Report;
use traffic::{Plan, Traffic};

/// Runs everything at once, and checks every answer. Without `--cfg reorder_hooks` there are no delays.
#[derive(Parser, Debug)]
#[command(name = "soak")]
struct Args {
    /// For how many minutes to go on
    #[arg(value_name = "MINUTES")]
    minutes: f64,

    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// So low that rings are freed all the time.
const IDLE_LIMIT: usize = 1 << 20;
/// The threads of a round: of the traffic, with fragile values, callers and workers of the executor.
const TRAFFIC: usize = 6;
const FRAGILE: u64 = 2;
const CALLERS: u64 = 5;
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
                "soak: {} rounds, {:.0?}, {} KiB at the most",
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
            outcome.met
        });
        let fragile: Vec<_> =
            (0..FRAGILE).map(|n| scope.spawn(move || fragile::run(seed * FRAGILE + n))).collect();
        let executor = &executor;
        let calls: Vec<_> = (0..CALLERS)
            .map(|n| scope.spawn(move || calls::run(executor, seed * CALLERS + n)))
            .collect();
        report.traffic.add(&joined(traffic));
        fragile.into_iter().for_each(|thread| report.fragile.add(&joined(thread)));
        calls.into_iter().for_each(|thread| report.calls.add(&joined(thread)));
    });
    drop(executor);
    calls::assert_nothing_is_left();
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}
