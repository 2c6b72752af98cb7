//! Measures streams whose outcomes are in order by key: against the same stream without keys, and
//! against a task for each key on tokio. Then one key is stuck for a whole run, and the program
//! reports the memory that the run needed.
//!
//! ```sh
//! cargo run --release -p benches --bin by_key
//! ```
//!
//! The ways take turns in each round. The figure of a way is its median, and ratios are medians of
//! the ratios within each round.

#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use reorder_executor::{BatchBuilder, CommitFrontier, Executor, Job};
use tokio::sync::{Semaphore, mpsc};

/// Measures streams whose outcomes are in order by key.
#[derive(Parser)]
struct Args {
    /// The number of items of a run.
    #[arg(long, default_value_t = 1_000_000)]
    items: u64,
    /// The number of keys.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// The number of outstanding items.
    #[arg(long, default_value_t = 1024)]
    window: usize,
    /// The number of rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// The number of workers.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// The work of each item, in multiplications.
    #[arg(long, default_value_t = 200)]
    work: u64,
}

/// Counts the bytes that are allocated now, and their maximum.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the key of an item. The keys of neighbouring items differ.
fn key(item: u64, keys: u64) -> u64 {
    item.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys
}

fn work(item: u64, work: u64) -> u64 {
    (0..work).fold(item, |value, _| black_box(value.wrapping_mul(6_364_136_223_846_793_005) + 1))
}

impl Args {
    fn window(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.window).expect("a window of at least 1")
    }

    fn batch<'e>(&self, executor: &'e Executor) -> BatchBuilder<'e, std::ops::Range<u64>> {
        executor.batch(0..self.items).window(self.window())
    }

    /// Runs the items without keys.
    fn in_order(&self, executor: &Executor) -> u64 {
        let amount = self.work;
        let job = move |item, _: &Job<'_>| Ok::<_, Infallible>(work(item, amount));
        let stream = self.batch(executor).stream(job).expect("the executor is open");
        stream.map(|outcome| outcome.expect("no item fails")).fold(0, u64::wrapping_add)
    }

    /// Runs the items in order by key.
    fn by_key(&self, executor: &Executor, key_window: Option<NonZeroUsize>) -> u64 {
        let (amount, keys) = (self.work, self.keys);
        let batch = self.batch(executor).ordered_by_key(move |&item| key(item, keys));
        let batch = match key_window {
            Some(items) => batch.key_window(items),
            None => batch,
        };
        let job = move |item, _: &Job<'_>| Ok::<_, Infallible>(work(item, amount));
        let stream = batch.stream(job).expect("the executor is open");
        stream.map(|next| next.outcome.expect("no item fails")).fold(0, u64::wrapping_add)
    }

    /// Runs the items with one task for each key that has items. The task runs them in order.
    fn task_per_key(self: &Arc<Self>, runtime: &tokio::runtime::Runtime) -> u64 {
        type Queues = Arc<Mutex<HashMap<u64, VecDeque<u64>>>>;
        let args = Arc::clone(self);
        runtime.block_on(async move {
            let queues = Queues::default();
            let room = Arc::new(Semaphore::new(args.window));
            let (done, mut results) = mpsc::channel(args.window);
            let source = tokio::spawn({
                let (args, room) = (Arc::clone(&args), Arc::clone(&room));
                async move {
                    for item in 0..args.items {
                        room.acquire().await.expect("it stays open").forget();
                        let key = key(item, args.keys);
                        if let Some(queue) = queues.lock().unwrap().get_mut(&key) {
                            queue.push_back(item);
                            continue;
                        }
                        queues.lock().unwrap().insert(key, VecDeque::from([item]));
                        let (queues, done) = (Arc::clone(&queues), done.clone());
                        let amount = args.work;
                        tokio::spawn(async move {
                            loop {
                                let item = {
                                    let mut queues = queues.lock().unwrap();
                                    let queue = queues.get_mut(&key).expect("its task removes it");
                                    match queue.pop_front() {
                                        Some(item) => item,
                                        None => {
                                            queues.remove(&key);
                                            return;
                                        }
                                    }
                                };
                                let result = work(item, amount);
                                done.send(result).await.expect("the results are wanted");
                            }
                        });
                    }
                }
            });
            let mut sum = 0_u64;
            while let Some(result) = results.recv().await {
                room.add_permits(1);
                sum = sum.wrapping_add(result);
            }
            source.await.expect("the source does not panic");
            sum
        })
    }

    /// Runs the items while the first item of one key is stuck until all others are done.
    fn stuck(&self, executor: &Executor) {
        let latch: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let (amount, keys, stuck) = (self.work, self.keys, key(0, self.keys));
        let of_stuck = (0..self.items).filter(|&item| key(item, keys) == stuck).count() as u64;
        let opened = Arc::clone(&latch);
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        let start = Instant::now();
        let batch = self.batch(executor).ordered_by_key(move |&item| key(item, keys));
        let job = move |item, _: &Job<'_>| {
            if item == 0 {
                let is_open = opened.0.lock().unwrap();
                drop(opened.1.wait_while(is_open, |is_open| !*is_open).unwrap());
            }
            Ok::<_, Infallible>(work(item, amount))
        };
        let mut stream = batch.stream(job).expect("the executor is open");
        let (mut frontier, mut ranges) = (CommitFrontier::new(0), 0);
        for next in stream.by_ref().take((self.items - of_stuck) as usize) {
            assert_ne!(key(next.index, keys), stuck, "the key is stuck");
            let moved = frontier.done(next.index).expect("each item once");
            assert_eq!(moved, None, "item 0 is not done");
            ranges = ranges.max(frontier.ranges().len());
        }
        let (time, peak) = (start.elapsed(), PEAK.load(Relaxed) - before);
        println!(
            "stuck key: {} items of other keys in {:.2?}, {} of its own wait; peak of the heap \
             {} KiB; at most {ranges} ranges behind the commit frontier",
            self.items - of_stuck,
            time,
            of_stuck,
            peak / 1024,
        );
        *latch.0.lock().unwrap() = true;
        latch.1.notify_all();
        for next in stream {
            frontier.done(next.index).expect("each item once");
        }
        assert_eq!(frontier.position(), Some(self.items));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args = Arc::new(Args::parse());
    let executor = Executor::builder().workers(args.workers).build().expect("workers");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.workers)
        .build()
        .expect("a runtime");
    println!(
        "{} items, {} keys, a window of {}, {} workers",
        args.items, args.keys, args.window, args.workers
    );
    let ways: [(&str, &dyn Fn() -> u64); 4] = [
        ("without keys", &|| args.in_order(&executor)),
        ("by key", &|| args.by_key(&executor, None)),
        ("by key, one at a time of each key", &|| args.by_key(&executor, Some(NonZeroUsize::MIN))),
        ("a task per key on tokio", &|| args.task_per_key(&runtime)),
    ];
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..args.rounds {
        let mut sums = Vec::new();
        for (times, (_, run)) in times.iter_mut().zip(&ways) {
            let start = Instant::now();
            sums.push(run());
            times.push(start.elapsed());
        }
        assert!(sums.iter().all(|&sum| sum == sums[0]), "the ways have different results");
    }
    for ((name, _), of_way) in ways.iter().zip(&times) {
        let per_item = |time: &Duration| time.as_nanos() as f64 / args.items as f64;
        let nanos = median(of_way.iter().map(per_item).collect());
        let ratio = |(base, time): (&Duration, &Duration)| base.as_secs_f64() / time.as_secs_f64();
        let ratio = median(times[0].iter().zip(of_way).map(ratio).collect());
        println!("{name:<36} {nanos:>6.0} ns per item, {ratio:.2} of the rate without keys");
    }
    args.stuck(&executor);
}
