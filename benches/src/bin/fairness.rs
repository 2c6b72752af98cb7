//! Measures the latency of small batches while a large batch runs on the same executor, and while
//! none does. Rounds of both kinds alternate within one run.
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
#[command(
    about = "Measures the latency of small batches, with and without a large batch beside them"
)]
struct Args {
    /// Number of worker threads, without the caller of the small batches.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Small batches in each half of a round: first without the large batch, then beside it.
    #[arg(long, default_value_t = 500)]
    batches: usize,
    /// Number of rounds.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Items of a small batch.
    #[arg(long, default_value_t = 64)]
    items: usize,
    /// Computing time of an item, in microseconds.
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
        latencies.record(start.elapsed().as_nanos() as u64).expect("the histogram grows");
        assert!(ran.into_iter().eq(0..args.items), "a small batch has wrong results");
    }
}

/// Runs small batches while a large batch runs, then cancels the large batch.
fn beside_large_batch(args: &Args, executor: &Executor, latencies: &mut Histogram<u64>) {
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
    assert!(!large.is_finished(), "the large batch ended before the small batches");
    token.cancel();
    let ran = large.wait().into_iter().filter(Result::is_ok).count();
    assert!(ran > 0, "no item of the large batch ran");
}

fn main() {
    let args = Args::parse();
    let executor = Executor::builder().workers(args.workers).build().expect("start an executor");
    let new = || Histogram::new(3).expect("a histogram can have three digits");
    let mut latencies = Latencies { idle: new(), beside: new() };
    for _ in 0..args.rounds {
        small_batches(&args, &executor, &mut latencies.idle);
        beside_large_batch(&args, &executor, &mut latencies.beside);
    }
    println!(
        "{} batches of {} items of {} µs, {} workers; µs per batch",
        args.batches * args.rounds,
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
