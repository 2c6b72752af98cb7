//! Fetches the items as requests: several threads with one batch each share an executor and a rate
//! limiter.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use reorder_executor::{Executor, Failure, Ordered};
use reorder_requests::{RateLimiter, RequestStats, Requests, RequestsExt, Retry, Throttle};

use crate::args::Args;
use crate::client::{self, Client, Error};
use crate::display::Display;
use crate::item::{Item, TotalTime};
use crate::server::{LIMIT, Received, Server, content, peak};

/// The way in which the items are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approach {
    /// Blocking requests, at the pace of the limiter.
    Paced,
    /// Blocking requests without a pace: the server closes the service, and the limiter opens it.
    Unpaced,
    /// Futures, at the pace of the limiter.
    Futures,
}

impl fmt::Display for Approach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Approach::Paced => "blocking requests, paced",
            Approach::Unpaced => "blocking requests, without a pace",
            Approach::Futures => "futures, paced",
        })
    }
}

/// The result of a batch.
pub(crate) struct Batch {
    pub(crate) number: u32,
    pub(crate) done: u32,
    /// The items that the server refused with an error that is not retried.
    pub(crate) failed: u32,
    /// The items that exceeded their time-out or their retry budget.
    pub(crate) given_up: u32,
    /// The outcomes that do not belong to their index.
    pub(crate) misplaced: u32,
    /// The results that came after their item was given up.
    pub(crate) late: usize,
    pub(crate) stats: RequestStats,
}

/// The result of a run of all batches.
pub(crate) struct Run {
    pub(crate) approach: Approach,
    pub(crate) workers: u16,
    pub(crate) items: u32,
    pub(crate) batches: Vec<Batch>,
    /// The requests that the server received.
    pub(crate) received: Vec<Received>,
    pub(crate) time: Duration,
    /// The time that the workers spent in requests, in total.
    pub(crate) busy: Duration,
    /// The time that items waited for another attempt, in total.
    pub(crate) waited: Duration,
}

/// The state that all threads share.
struct Shared {
    executor: Executor,
    limiter: RateLimiter,
    client: Client,
    runtime: Option<tokio::runtime::Runtime>,
    busy: Arc<TotalTime>,
    waited: Arc<TotalTime>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Outcomes = Ordered<'static, String, Error>;

impl Run {
    pub(crate) fn new(server: &Server, args: &Args, approach: Approach) -> Run {
        let shared = Shared::new(server, args, approach);
        let display = Display::new();
        let start = Instant::now();
        let batches = thread::scope(|scope| {
            let threads: Vec<_> = (0..args.batches)
                .map(|number| {
                    let bar = display.batch(number, args.items);
                    let shared = &shared;
                    scope.spawn(move || shared.fetch(number, args.items, &bar))
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Batch>| thread.join();
            threads.into_iter().map(join).map(|batch| batch.expect("no caller panics")).collect()
        });
        let time = start.elapsed();
        Run {
            approach,
            workers: args.workers,
            items: args.items,
            batches,
            received: server.take(),
            time,
            busy: shared.busy.read(),
            waited: shared.waited.read(),
        }
    }

    /// Returns `true` if every batch is complete and in order.
    pub(crate) fn is_complete(&self) -> bool {
        self.batches.iter().all(|batch| batch.is_complete(self.items))
    }

    /// Returns `true` if every batch is complete and in order, and a run with a pace never exceeded
    /// the limit of the server.
    pub(crate) fn is_correct(&self) -> bool {
        let keeps_limit =
            self.approach == Approach::Unpaced || peak(&self.received) <= LIMIT.requests;
        self.is_complete() && keeps_limit
    }

    /// Returns the number of requests with a status.
    pub(crate) fn count(&self, status: u16) -> usize {
        self.received.iter().filter(|request| request.status == status).count()
    }
}

impl Batch {
    /// Returns `true` if every item has an outcome, and each outcome is at its index.
    pub(crate) fn is_complete(&self, items: u32) -> bool {
        self.misplaced == 0 && self.done + self.failed + self.given_up == items
    }
}

impl Shared {
    fn new(server: &Server, args: &Args, approach: Approach) -> Shared {
        let executor = Executor::builder().workers(args.workers.into()).window(64).build();
        let throttle =
            Throttle::new(Duration::ZERO, Duration::from_millis(20), Duration::from_micros(100));
        let mut limiter = RateLimiter::builder().throttle(throttle.multiplier(1.5).jitter(0.1));
        if approach != Approach::Unpaced {
            // Four fifths of the server's limit. With the burst, it is nine tenths.
            limiter = limiter
                .pace(LIMIT.within * 5 / (LIMIT.requests as u32 * 4))
                .burst(NonZeroU32::new(LIMIT.requests as u32 / 10).expect("the limit is 50"));
        }
        let runtime = (approach == Approach::Futures).then(|| {
            let builder = &mut tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().expect("start a runtime")
        });
        Shared {
            executor: executor.expect("start an executor"),
            limiter: limiter.build().expect("the throttle slows down and recovers"),
            client: Client::new(server.address()),
            runtime,
            busy: Arc::default(),
            waited: Arc::default(),
        }
    }

    fn fetch(&self, number: u32, items: u32, bar: &ProgressBar) -> Batch {
        let mut outcomes = self.start(number, items);
        let mut batch = Batch {
            number,
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
                Ok(text) if text == content(number, index) => batch.done += 1,
                Ok(_) => batch.misplaced += 1,
                Err(Failure::Failed { .. }) => batch.failed += 1,
                Err(_) => batch.given_up += 1,
            }
            batch.stats = outcomes.stats::<RequestStats>().unwrap_or_default();
            let RequestStats { attempts, current_delay, .. } = batch.stats;
            bar.set_message(format!("{attempts} attempts, {current_delay:.1?} apart"));
            bar.inc(1);
        }
        bar.finish();
        batch.late = outcomes.late_results();
        batch.stats = outcomes.stats::<RequestStats>().unwrap_or_default();
        batch
    }

    fn start(&self, number: u32, items: u32) -> Outcomes {
        let requests = self.requests(number, items);
        let Some(runtime) = &self.runtime else {
            let client = self.client.clone();
            let (busy, waited) = (Arc::clone(&self.busy), Arc::clone(&self.waited));
            let outcomes = requests.stream(move |item, _| {
                item.begin(&waited);
                let start = Instant::now();
                let reply = client.fetch(number, item.index);
                busy.add(start.elapsed());
                item.end(&reply);
                reply
            });
            return outcomes.expect(NOT_SHUT_DOWN);
        };
        let (handle, waited) = (runtime.handle().clone(), Arc::clone(&self.waited));
        let address = self.client.address();
        let spawner = move |task: Task| drop(handle.spawn(task));
        let outcomes = requests.stream_async(spawner, move |item, _| {
            item.begin(&waited);
            async move {
                let reply = client::fetch(address, number, item.index).await;
                item.end(&reply);
                reply
            }
        });
        outcomes.expect(NOT_SHUT_DOWN)
    }

    fn requests(
        &self,
        number: u32,
        items: u32,
    ) -> Requests<'_, impl Iterator<Item = Item> + Send + use<>> {
        let retry = Retry::new()
            .within(Duration::from_secs(60))
            .wait(Duration::from_millis(100), Duration::from_secs(2));
        let mut batch = self.executor.batch((0..items).map(Item::new));
        if number == 0 {
            // Only the first batch has a time-out per item.
            batch = batch.item_timeout(Duration::from_millis(600));
        }
        batch
            .requests()
            .retry(retry)
            .through(&self.limiter)
            .concurrency(NonZeroUsize::new(32).expect("not zero"))
    }
}

const NOT_SHUT_DOWN: &str = "the executor is not shut down";
