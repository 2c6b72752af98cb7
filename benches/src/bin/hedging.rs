//! Measures ordered calls of which a few take very long: without hedges, with hedges, and against a
//! client that returns answers in any order. All run one after the other, in each round.
//!
//! ```sh
//! cargo run --release -p benches --bin hedging
//! ```

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use futures::StreamExt;
use hdrhistogram::Histogram;
use reorder_executor::Executor;
use reorder_requests::{Attempt, AttemptOutcome, Hedge, RequestStats, RequestsExt};
use tokio::runtime::Runtime;

#[derive(Parser)]
#[command(about = "Measures ordered calls of which a few take very long, with and without hedges")]
struct Args {
    /// Number of calls.
    #[arg(long, default_value_t = 10_000)]
    calls: usize,
    /// Maximum number of attempts at the same time.
    #[arg(long, default_value_t = NonZeroUsize::new(64).unwrap())]
    in_flight: NonZeroUsize,
    /// Maximum number of calls whose answers the consumer has not taken, if they are ordered.
    #[arg(long, default_value_t = NonZeroUsize::new(256).unwrap())]
    window: NonZeroUsize,
    /// Time of an attempt, in milliseconds.
    #[arg(long, default_value_t = 10)]
    usual: u64,
    /// Time of a slow attempt, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    slow: u64,
    /// One in so many attempts is slow.
    #[arg(long, default_value_t = 100)]
    one_in: u64,
    /// The quantile of the times after which an attempt is hedged.
    #[arg(long, default_value_t = 0.98)]
    quantile: f64,
    /// Number of rounds.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

/// The times of one run.
struct Run {
    start: Instant,
    /// When the first attempt at each call started, in nanoseconds.
    started: Vec<AtomicU64>,
    slow: u64,
    usual: u64,
    one_in: u64,
}

impl Run {
    fn new(args: &Args) -> Arc<Run> {
        Arc::new(Run {
            start: Instant::now(),
            started: (0..args.calls).map(|_| AtomicU64::new(0)).collect(),
            slow: args.slow,
            usual: args.usual,
            one_in: args.one_in,
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Makes an attempt. Which attempts are slow is the same in each run.
    async fn attempt(&self, call: usize, number: u32) {
        if number == 1 {
            self.started[call].store(self.now(), Relaxed);
        }
        // SplitMix64, as a hash of the call and the number.
        let mut mixed = (call as u64 ^ u64::from(number) << 40).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let is_slow = (mixed ^ mixed >> 31) % self.one_in == 0;
        let time = if is_slow { self.slow } else { self.usual };
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    fn note(&self, call: usize, times: &mut Histogram<u64>) {
        let time = self.now() - self.started[call].load(Relaxed);
        times.record(time).expect("the histogram grows");
    }
}

/// The figures of one kind of client.
struct Figures {
    client: &'static str,
    total: Duration,
    times: Histogram<u64>,
    attempts: u64,
    won: u64,
}

impl Figures {
    fn new(client: &'static str) -> Figures {
        let times = Histogram::new(3).expect("a histogram can have three digits");
        Figures { client, total: Duration::ZERO, times, attempts: 0, won: 0 }
    }

    fn print(&self, calls: u64, rounds: u32) {
        let millis = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e6;
        println!(
            "| {} | {:.2} s | {:.1} ms | {:.0} ms | {:+.1} % | {} |",
            self.client,
            (self.total / rounds).as_secs_f64(),
            millis(0.5),
            millis(0.999),
            (self.attempts as f64 / calls as f64 - 1.0) * 100.0,
            self.won,
        );
    }
}

fn ordered(args: &Args, runtime: &Runtime, hedge: Option<Hedge>, figures: &mut Figures) {
    let executor = Executor::builder().workers(1).build().expect("start an executor");
    let run = Run::new(args);
    let batch = executor.batch(0..args.calls).requests();
    let batch = batch.concurrency(args.in_flight).window(args.window);
    let batch = hedge.into_iter().fold(batch, |batch, hedge| batch.hedge(hedge));
    let (handle, of_job) = (runtime.handle().clone(), Arc::clone(&run));
    let spawner = move |task| _ = handle.spawn(task);
    let job = move |call: Arc<usize>, attempt: Attempt| {
        let run = Arc::clone(&of_job);
        async move {
            run.attempt(*call, attempt.number()).await;
            AttemptOutcome::<_, Infallible>::Done(*call)
        }
    };
    let mut answers = batch.stream_async(spawner, job).expect("the executor is not shut down");
    for call in 0..args.calls {
        assert_eq!(answers.next().and_then(Result::ok), Some(call), "an answer is missing");
        run.note(call, &mut figures.times);
    }
    figures.total += run.start.elapsed();
    let stats = answers.stats::<RequestStats>().expect("they are requests");
    figures.attempts += stats.attempts;
    figures.won += stats.hedges_won;
}

fn unordered(args: &Args, runtime: &Runtime, figures: &mut Figures) {
    let run = Run::new(args);
    let of_calls = Arc::clone(&run);
    let calls = futures::stream::iter(0..args.calls).map(move |call| {
        let run = Arc::clone(&of_calls);
        async move {
            run.attempt(call, 1).await;
            call
        }
    });
    let mut answers = calls.buffer_unordered(args.in_flight.get());
    let mut count = 0;
    runtime.block_on(async {
        while let Some(call) = answers.next().await {
            run.note(call, &mut figures.times);
            count += 1;
        }
    });
    assert_eq!(count, args.calls, "an answer is missing");
    figures.total += run.start.elapsed();
    figures.attempts += count as u64;
}

fn main() {
    let args = Args::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_time().build().expect("start a runtime");
    let mut clients = [
        Figures::new("ordered"),
        Figures::new("ordered, hedged"),
        Figures::new("any order, by `buffer_unordered`"),
    ];
    for _ in 0..args.rounds {
        ordered(&args, &runtime, None, &mut clients[0]);
        ordered(&args, &runtime, Some(Hedge::at_quantile(args.quantile)), &mut clients[1]);
        unordered(&args, &runtime, &mut clients[2]);
    }
    println!("| client | total | median | 99.9 % | more attempts | hedges that won |");
    println!("|---|---|---|---|---|---|");
    let calls = (args.calls * args.rounds) as u64;
    clients.iter().for_each(|figures| figures.print(calls, args.rounds as u32));
}
