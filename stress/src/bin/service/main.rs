//! A service: 16 clients make calls of all kinds at one executor, for a given time with 1, 2 and 8
//! workers.
//!
//! * Each item and each result carries its client, its call and its index. The client checks that
//!   each outcome is the right one, that it comes in its order, and that its job ran as often as it
//!   should.
//! * `watch` notices a call that waits while the others complete much work.
//! * After each round of calls, nothing may be left: no item, no result, no thread, no call. The
//!   bytes that are allocated must not grow.
//!
//! The seed decides which calls each client makes, and in which order.

mod call;
mod client;
mod counts;
mod fault;
mod process;
mod watch;

use std::panic;
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use reorder_executor::{Executor, Ordered};
use reorder_requests::{RateLimiter, Throttle};
use reorder_stress::{Counted, joined};

use client::Client;
use counts::Counts;
use fault::{FAULT, Fault};
use watch::Watch;

/// Serves 16 clients with 1, 2 and 8 workers, and checks every outcome. Has delays only with `--cfg
/// reorder_hooks`.
#[derive(Parser, Debug)]
#[command(name = "service")]
struct Args {
    /// Minutes to run with each number of workers
    #[arg(value_name = "MINUTES")]
    minutes: f64,

    /// Seed of the calls
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The numbers of workers, one after the other
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,2,8")]
    workers: Vec<usize>,

    /// Has a fault, which must be noticed
    #[arg(long, hide = true)]
    fault: Option<Fault>,
}

const CLIENTS: usize = 16;
/// The most bytes by which the memory may differ between rounds: rings, and lists that grew.
const SLACK: isize = 256 << 10;

fn main() {
    let args = Args::parse();
    args.fault.inspect(|&fault| FAULT.set(fault).expect("it is set once"));
    let seed = args.seed;
    println!("service: seed {seed}");
    // The jobs panic without the hook. So each panic that calls it is a failure, on any thread.
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        println!("service: failed, with seed {seed}");
        exit(1);
    }));
    reorder_stress::delay_everywhere();
    let mut counts = Counts::default();
    for &workers in &args.workers {
        Service::run(workers, &args, &mut counts);
    }
    println!("service: {counts}");
    counts.assert_all(&[
        "values",
        "failed",
        "exhausted",
        "panicked",
        "cancelled",
        "item deadlines",
        "batch deadlines",
        "dropped batches",
        "dropped streams",
    ]);
    println!("service: every outcome was right; no call starved; no item, byte or thread was left");
}

/// A stream whose source is silent until the service ends.
struct IdleStream {
    sender: Sender<usize>,
    stream: Ordered<'static, usize>,
}

struct Service {
    executor: Executor,
    limiter: RateLimiter,
    /// The least calls of a client in a round. It goes on until all clients have made as many.
    calls: usize,
    idle: Vec<IdleStream>,
    /// The threads of the process before the service started.
    threads: usize,
    /// The bytes that were allocated after each round.
    bytes: Vec<isize>,
}

impl Service {
    fn run(workers: usize, args: &Args, counts: &mut Counts) {
        let (start, time) = (Instant::now(), Duration::from_secs_f64(args.minutes * 60.0));
        let before = process::threads();
        let mut service = Service::start(workers, args, before);
        let mut longest: f64 = 0.0;
        while service.bytes.len() < 6 || start.elapsed() < time {
            longest = longest.max(service.round(args.seed, counts));
            service.settle();
        }
        let (rounds, grown) = (service.bytes.len(), grown(&service.bytes));
        assert!(grown < SLACK, "the memory grew by {grown} bytes: {:?}", service.bytes);
        service.end();
        wait_until("a thread is left", || process::threads() <= before);
        println!(
            "service: {workers} workers: {rounds} rounds in {:.0?}; the longest wait was {:.0} % \
             of the limit; the memory grew by {grown} bytes",
            start.elapsed(),
            longest * 100.0,
        );
    }

    fn start(workers: usize, args: &Args, threads: usize) -> Service {
        let executor = Executor::builder().workers(workers).window(64).build();
        let executor = executor.expect("the threads start");
        let micros = Duration::from_micros;
        let throttle = Throttle::new(Duration::ZERO, micros(200), micros(50));
        let limiter = RateLimiter::builder().pace(micros(50)).throttle(throttle);
        let idle = (0..workers).map(|_| {
            let (sender, receiver) = channel();
            IdleStream { sender, stream: executor.stream(receiver, |n| n) }
        });
        Service {
            idle: idle.collect(),
            limiter: limiter.build().expect("the throttle can adapt"),
            threads,
            // Long rounds when there is time: a call that starves needs others that go on.
            calls: if args.minutes < 1.0 { 10 } else { 100 },
            executor,
            bytes: Vec::new(),
        }
    }

    /// Lets all clients make their calls. Returns the longest wait of a call.
    fn round(&self, seed: u64, counts: &mut Counts) -> f64 {
        let (watch, busy) = (&Watch::default(), &AtomicUsize::new(CLIENTS));
        let round = self.bytes.len() as u64;
        thread::scope(|scope| {
            let watching = scope.spawn(|| watch.watch(&self.executor));
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let parts = (&self.executor, &self.limiter, watch);
                    scope.spawn(move || {
                        let mut client = Client::new(number, round, seed, parts);
                        (0..self.calls).for_each(|_| client.call());
                        busy.fetch_sub(1, SeqCst);
                        while busy.load(SeqCst) > 0 {
                            client.call();
                        }
                        client.finish();
                        client.counts
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| counts.add_all(&joined(client)));
            watch.end();
            joined(watching)
        })
    }

    /// Waits until nothing is left of the calls of a round.
    fn settle(&mut self) {
        wait_until("an item or a result is left", || Counted::alive() == 0);
        wait_until("a call is left", || self.executor.snapshot().calls().len() <= self.idle.len());
        // Each source that blocks has a thread of its own, and all of them have a monitor.
        let most = self.threads + 2 * self.executor.workers() + 1;
        wait_until("an idle service has too many threads", || process::threads() <= most);
        // A worker may still hold the last reference to a call.
        let looks = (0..20).map(|_| {
            thread::sleep(Duration::from_millis(1));
            process::bytes()
        });
        let least = looks.min().expect("there are looks");
        self.bytes.push(least);
    }

    /// Ends the idle streams, and then the executor.
    fn end(self) {
        // A stream that was silent for the whole run still delivers all items.
        for IdleStream { sender, mut stream } in self.idle {
            (0..100).for_each(|n| sender.send(n).expect("the stream receives"));
            drop(sender);
            (0..100).for_each(|n| assert!(matches!(stream.next(), Some(Ok(m)) if m == n)));
            assert!(stream.next().is_none());
        }
        let most = self.threads + self.executor.workers();
        wait_until("an executor keeps a spare thread", || process::threads() <= most);
        if FAULT.get() == Some(&Fault::Thread) {
            thread::spawn(|| thread::sleep(Duration::MAX));
        }
        drop(self.executor);
    }
}

/// Returns the bytes that all rounds of the last third have more than any round of the second one.
/// The first third fills pools and lists.
fn grown(bytes: &[isize]) -> isize {
    let third = bytes.len() / 3;
    let most = bytes[third..2 * third].iter().max().expect("there are enough rounds");
    let least = bytes[2 * third..].iter().min().expect("there are enough rounds");
    least - most
}

/// Waits until `holds` returns `true`. Panics with the text if this lasts so long that it cannot be
/// the fault of a busy machine.
fn wait_until(text: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    let permanent = Duration::from_secs(if FAULT.get().is_some() { 2 } else { 60 });
    while !holds() {
        assert!(start.elapsed() < permanent, "{text}");
        thread::sleep(Duration::from_millis(1));
    }
}
