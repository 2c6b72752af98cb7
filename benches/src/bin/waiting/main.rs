//! Checks that every wait of a producer and a consumer ends, and measures the processor time that
//! the waits take. The producer or the consumer is slow, so the other side waits.
//!
//! ```sh
//! cargo run --release -p benches --bin waiting -- [--items N] [--window N] [--stall SECONDS]
//! ```
//!
//! There are eight runs, one for each combination of these:
//!
//! * The sides are threads or tokio tasks.
//! * The consumer or the producer is slow.
//! * The producer completes its items itself. Or it sends chunks of tickets to a third thread or
//!   task, which completes each chunk in shuffled order.
//!
//! The consumer checks every item. A lost wake-up would hang the run. So a watchdog ends the
//! program with an error after some time without progress, and prints the progress of each side.

mod args;
mod plan;
mod progress;
mod tasks;
mod threads;
mod usage;
mod watchdog;
mod work;

use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use reorder_ring::Ring;

use args::Args;
use plan::{Completer, Kind, Plan, Slow};
use usage::Usage;
use watchdog::Watchdog;

/// The waits and the processor time of the two sides of a run.
struct Sides {
    producer: Usage,
    consumer: Usage,
}

fn main() {
    let args = Args::parse();
    println!("{} items, window {}", args.items, args.window.next_power_of_two());
    println!("{:<23} {:<15} {:<14} {}", "", "completed by", "", Usage::HEADINGS);
    for kind in [Kind::Threads, Kind::Tasks] {
        for slow in [Slow::Consumer, Slow::Producer] {
            for completer in [Completer::Producer, Completer::Third] {
                run(&args, kind, &Plan { items: args.items, slow, completer });
            }
        }
    }
}

fn run(args: &Args, kind: Kind, plan: &Plan) {
    let ring = Arc::new(Ring::with_capacity(args.window as usize).expect("memory for the ring"));
    let name = format!("{kind:<8} {:<14} {:<15}", plan.slow, plan.completer);
    let title = format!("{kind}, {}, completed by {}", plan.slow, plan.completer);
    let watchdog = Watchdog::start(title, args.stall(), plan.items, Arc::clone(&ring));
    let start = Instant::now();
    let sides = match kind {
        Kind::Threads => threads::run(plan, &ring, &watchdog.progress()),
        Kind::Tasks => tasks::run(*plan, ring, watchdog.progress()),
    };
    let elapsed = start.elapsed();
    drop(watchdog);
    let sides = [
        ("producer", sides.producer, Slow::Producer),
        ("consumer", sides.consumer, Slow::Consumer),
    ];
    for (side, usage, slow) in sides {
        let part = if plan.slow == slow { "works" } else { "waits" };
        println!("{name} {side} {part} {}", usage.report(elapsed));
    }
}
