//! The settings of the requests, and how they start.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::time::Duration;

use reorder_executor::Executor;
use reorder_requests::{Hedge, Quota, RateLimiter, Requests, RequestsExt, Retry, RetryBudget};

use crate::args::Args;
use crate::client::{self, Client};
use crate::outcomes::{KEYS, Outcomes};
use crate::server::LIMITS;

/// The way in which the items are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approach {
    /// Blocking requests without quotas: the server closes the service, and the limiter opens it.
    Told,
    /// Blocking requests within the quotas.
    Quotas,
    /// Futures within the quotas, with hedges.
    Hedged,
    /// The same, in order by key.
    ByKey,
}

impl Approach {
    pub(crate) const ALL: [Approach; 4] =
        [Approach::Told, Approach::Quotas, Approach::Hedged, Approach::ByKey];

    /// Returns `true` if the jobs are futures.
    fn is_async(self) -> bool {
        matches!(self, Approach::Hedged | Approach::ByKey)
    }
}

impl fmt::Display for Approach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Approach::Told => "blocking requests, without quotas",
            Approach::Quotas => "blocking requests, within quotas",
            Approach::Hedged => "futures with hedges",
            Approach::ByKey => "futures with hedges, by key",
        })
    }
}

/// The state that all threads share.
pub(crate) struct Shared {
    approach: Approach,
    executor: Executor,
    limiter: RateLimiter,
    client: Client,
    runtime: Option<tokio::runtime::Runtime>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Shared {
    pub(crate) fn new(client: Client, args: &Args, approach: Approach) -> Shared {
        let executor = Executor::builder().workers(args.workers.into()).window(64).build();
        Shared {
            approach,
            executor: executor.expect("start an executor"),
            limiter: limiter(approach),
            client,
            runtime: approach.is_async().then(start_runtime),
        }
    }

    /// Starts the requests of a batch.
    pub(crate) fn start(&self, number: u32, items: u32) -> Outcomes {
        let requests = self.requests(items);
        match &self.runtime {
            None => self.start_blocking(requests, number),
            Some(runtime) => self.start_async(requests, number, runtime.handle().clone()),
        }
    }

    fn requests(&self, items: u32) -> Requests<'_, impl Iterator<Item = u32> + Send + use<>> {
        let batch = self.executor.batch(0..items).timed();
        let requests = batch
            .requests()
            .through(&self.limiter)
            .retry(retry())
            .concurrency(NonZeroUsize::new(32).expect("not zero"));
        match self.approach.is_async() {
            // The first item without an outcome holds back all others. It gets a second attempt.
            true => requests.hedge(Hedge::after(Duration::from_millis(100))),
            false => requests,
        }
    }

    fn start_blocking(
        &self,
        requests: Requests<'_, impl Iterator<Item = u32> + Send + 'static>,
        number: u32,
    ) -> Outcomes {
        let client = self.client.clone();
        let outcomes = requests.stream(move |&index, attempt| {
            // The call blocks a worker, so it ends with the time of the attempt.
            client.fetch(number, index, attempt.deadline())
        });
        Outcomes::in_order(outcomes.expect(NOT_SHUT_DOWN))
    }

    fn start_async(
        &self,
        requests: Requests<'_, impl Iterator<Item = u32> + Send + 'static>,
        number: u32,
        runtime: tokio::runtime::Handle,
    ) -> Outcomes {
        let spawner = move |task: Task| drop(runtime.spawn(task));
        let address = self.client.address();
        // The future is dropped at the end of its time, or when another attempt has won.
        let job = move |index: std::sync::Arc<u32>, _| client::fetch(address, number, *index);
        if self.approach == Approach::ByKey {
            let requests = requests.ordered_by_key(|index| index % KEYS);
            return Outcomes::by_key(requests.stream_async(spawner, job).expect(NOT_SHUT_DOWN));
        }
        Outcomes::in_order(requests.stream_async(spawner, job).expect(NOT_SHUT_DOWN))
    }
}

/// Returns the limiter for all batches. Its quotas are below those of the server, which counts in
/// windows: the number and the burst are added up.
fn limiter(approach: Approach) -> RateLimiter {
    let mut limiter = RateLimiter::builder();
    if approach != Approach::Told {
        for limit in LIMITS {
            let part = |tenths| NonZeroU32::new(limit.requests as u32 * tenths / 10);
            let quota = part(8).and_then(|n| Quota::new(n, limit.within));
            let burst = part(1).expect("a limit is 10 or more");
            limiter = limiter.quota(quota.expect("the period is not 0").allow_burst(burst));
        }
        limiter = limiter.max_in_flight(NonZeroU32::new(48).expect("not zero"));
    }
    limiter.build().expect("there is no throttle")
}

/// Returns how often and how long each item is tried. The waits have full jitter by default.
fn retry() -> Retry {
    let millis = Duration::from_millis;
    // Ten failures in excess are retried. Then ten answers pay for a retry.
    let budget = RetryBudget::new(NonZeroU32::new(20).expect("not zero"), 0.1);
    Retry::new()
        .within(Duration::from_secs(60))
        .wait(millis(100), millis(2000))
        .attempt_timeout(millis(400))
        .budget(budget)
}

fn start_runtime() -> tokio::runtime::Runtime {
    let builder = &mut tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("start a runtime")
}

const NOT_SHUT_DOWN: &str = "the executor is not shut down";
