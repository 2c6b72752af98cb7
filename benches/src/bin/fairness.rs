//! What small batches suffer while a large one runs on the same executor: latency beside it, and without it, in turns
//! within one run.
//!
//! ```sh
//! cargo run --release -p benches --bin fairness
//! ```

use std::hint::black_box;
use std::time::Instant;

use benches::compare::busy;
use clap::Parser;
use hdrhistogram::Histogram;
use reorder_executor::{CancellationToken, Executor};

#[derive(Parser)]
#[command(about = "The latency of small batches beside one of a million items, and without it")]
struct Args {
    /// Worker threads; the caller of the small batches comes on top.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Small batches in each turn, with and without the large one beside them.
    #[arg(long, default_value_t = 500)]
    batches: usize,
    /// Turns.
    #[arg(long, default_value_t = 11)]
    turns: usize,
    /// Items of a small batch.
    #[arg(long, default_value_t = 64)]
    items: usize,
    /// How long an item computes, in microseconds.
    #[arg(long, default_value_t = 10)]
    micros: u64,
    /// Items of the large batch.
    #[arg(long, default_value_t = 1_000_000)]
    large: usize,
}

struct Latencies {
    idle: Histogram<u64>,
    beside: Histogram<u64>,
}

fn small_batches(args: &Args, executor: &Executor, latencies: &mut Histogram<u64>) {
    for _ in 0..args.batches {
        let start = Instant::now();
        let ran = executor.map(0..args.items, |n| {
            black_box(busy(n as u64, args.micros));
            n
        });
        latencies.record(start.elapsed().as_nanos() as u64).expect("it grows");
        assert!(ran.into_iter().eq(0..args.items), "a small batch comes back whole");
    }
}

/// As above, while the large batch runs. It is cancelled then, since it would take longer.
fn beside_a_large_one(args: &Args, executor: &Executor, latencies: &mut Histogram<u64>) {
    let (token, micros) = (CancellationToken::new(), args.micros);
    let large = executor
        .batch(0..args.large)
        .cancelled_by(&token)
        .submit(move |n, _| {
            black_box(busy(n as u64, micros));
            Ok::<_, ()>(n)
        })
        .expect("the executor is not shut down");
    small_batches(args, executor, latencies);
    assert!(!large.is_finished(), "the large batch was over before the small ones");
    token.cancel();
    let ran = large.wait().into_iter().filter(Result::is_ok).count();
    assert!(ran > 0, "the large batch got no share");
}

fn main() {
    let args = Args::parse();
    let executor = Executor::builder().workers(args.workers).build().expect("threads");
    let new = || Histogram::new(3).expect("three digits");
    let mut latencies = Latencies { idle: new(), beside: new() };
    for _ in 0..args.turns {
        small_batches(&args, &executor, &mut latencies.idle);
        beside_a_large_one(&args, &executor, &mut latencies.beside);
    }
    println!(
        "{} batches of {} items of {} µs, {} workers; µs per batch",
        args.batches * args.turns,
        args.items,
        args.micros,
        args.workers
    );
    println!("           idle   beside one of {} items   ratio", args.large);
    for quantile in [0.5, 0.9, 0.99, 0.999] {
        let at = |histogram: &Histogram<u64>| histogram.value_at_quantile(quantile) as f64 / 1e3;
        let (idle, beside) = (at(&latencies.idle), at(&latencies.beside));
        println!("p{:<6} {idle:>8.1} {beside:>25.1}   {:.2}", quantile * 100.0, beside / idle);
    }
}
