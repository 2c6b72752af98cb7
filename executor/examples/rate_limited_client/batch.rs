//! The same items as requests: several threads, each with a batch of its own, share one executor and one limiter.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use reorder_executor::{
    Executor, Failure, Ordered, RateLimiter, RequestStats, Requests, Retry, Throttle,
};

use crate::args::Args;
use crate::client::{self, Client, Error};
use crate::display::Display;
use crate::item::{Clock, Item};
use crate::server::{LIMIT, Seen, Server, busiest, content};

/// How the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approach {
    Paced,
    Throttled,
    Futures,
}

/// What came of a batch.
pub(crate) struct Batch {
    pub(crate) name: u32,
    pub(crate) done: u32,
    /// By the server, for good.
    pub(crate) failed: u32,
    /// After their deadline, or when their budget was used up.
    pub(crate) given_up: u32,
    /// Outcomes that were not those of their place.
    pub(crate) misplaced: u32,
    pub(crate) late: usize,
    pub(crate) stats: RequestStats,
}

/// What came of all of them.
pub(crate) struct Fleet {
    pub(crate) approach: Approach,
    pub(crate) workers: u16,
    pub(crate) items: u32,
    pub(crate) batches: Vec<Batch>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) time: Duration,
    /// How long the workers were at requests, all of them together.
    pub(crate) busy: Duration,
    /// How long items waited for another attempt, all of them together.
    pub(crate) waited: Duration,
}

/// What all threads share.
struct Shared {
    executor: Executor,
    limiter: RateLimiter,
    client: Client,
    runtime: Option<tokio::runtime::Runtime>,
    busy: Arc<Clock>,
    waited: Arc<Clock>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Outcomes = Ordered<'static, String, Error>;

impl Fleet {
    pub(crate) fn run(server: &Server, args: &Args, approach: Approach) -> Fleet {
        let shared = Shared::new(server, args, approach);
        let display = Display::new();
        let start = Instant::now();
        let batches = thread::scope(|scope| {
            let threads: Vec<_> = (0..args.batches)
                .map(|name| {
                    let bar = display.batch(name, args.items);
                    let shared = &shared;
                    scope.spawn(move || shared.fetch(name, args.items, &bar))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let time = start.elapsed();
        Fleet {
            approach,
            workers: args.workers,
            items: args.items,
            batches,
            seen: server.take(),
            time,
            busy: shared.busy.read(),
            waited: shared.waited.read(),
        }
    }

    /// Whether every batch is complete, in order, and as it should be, and the server was not asked too much.
    pub(crate) fn is_well(&self) -> bool {
        self.batches.iter().all(|batch| batch.is_whole(self.items))
            && (self.approach == Approach::Throttled || busiest(&self.seen) <= LIMIT.requests)
    }
}

impl Batch {
    pub(crate) fn is_whole(&self, items: u32) -> bool {
        self.misplaced == 0 && self.done + self.failed + self.given_up == items
    }
}

impl Shared {
    fn new(server: &Server, args: &Args, approach: Approach) -> Shared {
        let executor = Executor::builder().workers(args.workers.into()).window(64).build();
        let throttle =
            Throttle::new(Duration::ZERO, Duration::from_millis(20), Duration::from_micros(100));
        let mut limiter = RateLimiter::builder().throttle(throttle.multiplier(1.5).jitter(0.1));
        if approach != Approach::Throttled {
            // Four fifths of what the server allows.
            limiter = limiter.pace(LIMIT.within * 5 / (LIMIT.requests as u32 * 4));
        }
        let runtime = (approach == Approach::Futures).then(|| {
            let builder = &mut tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().expect("a thread for a runtime")
        });
        Shared {
            executor: executor.expect("threads for an executor"),
            limiter: limiter.build().expect("it backs off and recovers"),
            client: Client::new(server.address()),
            runtime,
            busy: Arc::default(),
            waited: Arc::default(),
        }
    }

    fn fetch(&self, name: u32, items: u32, bar: &ProgressBar) -> Batch {
        let mut outcomes = self.start(name, items);
        let mut batch = Batch {
            name,
            done: 0,
            failed: 0,
            given_up: 0,
            misplaced: 0,
            late: 0,
            stats: RequestStats::default(),
        };
        let mut indices = 0..;
        while let (Some(outcome), Some(index)) = (outcomes.next(), indices.next()) {
            match outcome {
                Ok(text) if text == content(name, index) => batch.done += 1,
                Ok(_) => batch.misplaced += 1,
                Err(Failure::Failed(_)) => batch.failed += 1,
                Err(_) => batch.given_up += 1,
            }
            batch.stats = outcomes.requests().unwrap_or_default();
            let RequestStats { attempts, current_delay, .. } = batch.stats;
            bar.set_message(format!("{attempts} attempts, {current_delay:.1?} apart"));
            bar.inc(1);
        }
        bar.finish();
        batch.late = outcomes.late_results();
        batch.stats = outcomes.requests().unwrap_or_default();
        batch
    }

    fn start(&self, name: u32, items: u32) -> Outcomes {
        let requests = self.requests(name, items);
        let Some(runtime) = &self.runtime else {
            let client = self.client.clone();
            let (busy, waited) = (Arc::clone(&self.busy), Arc::clone(&self.waited));
            let outcomes = requests.stream(move |item, _| {
                item.begin(&waited);
                let start = Instant::now();
                let reply = client.fetch(name, item.index);
                busy.add(start.elapsed());
                item.end(&reply);
                reply
            });
            return outcomes.expect("it is not shut down");
        };
        let (handle, waited) = (runtime.handle().clone(), Arc::clone(&self.waited));
        let address = self.client.address();
        let spawner = move |task: Task| drop(handle.spawn(task));
        let outcomes = requests.stream_async(spawner, move |item, _| {
            item.begin(&waited);
            async move {
                let reply = client::fetch(address, name, item.index).await;
                item.end(&reply);
                reply
            }
        });
        outcomes.expect("it is not shut down")
    }

    fn requests(
        &self,
        name: u32,
        items: u32,
    ) -> Requests<'_, impl Iterator<Item = Item> + Send + use<>> {
        let retry = Retry::new()
            .within(Duration::from_secs(60))
            .wait(Duration::from_millis(100), Duration::from_secs(2));
        let mut batch = self.executor.batch((0..items).map(Item::new));
        if name == 0 {
            // The others have patience.
            batch = batch.item_timeout(Duration::from_millis(600));
        }
        batch
            .requests()
            .retry(retry)
            .through(&self.limiter)
            .concurrency(NonZeroUsize::new(32).expect("it is above 0"))
    }
}
