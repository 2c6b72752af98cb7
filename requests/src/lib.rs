//! Calls to services, whose results come back in the order of the items.
//!
//! A batch of [`reorder_executor`] becomes a batch of [`Requests`] by the method
//! [`requests`](RequestsExt::requests). An item may need several attempts. While it waits for the
//! next one, it keeps its place in the order, and no worker.
//!
//! ```
//! use std::time::Duration;
//! use reorder_requests::{AttemptOutcome, Executor, RateLimiter, RequestsExt};
//!
//! let executor = Executor::builder().workers(2).build()?;
//! let limiter = RateLimiter::builder().pace(Duration::from_millis(1)).build()?;
//! let requests = executor.batch(["a", "bc"]).requests().through(&limiter);
//! let answers = requests.submit(|word, attempt| match attempt.number() {
//!     1 => AttemptOutcome::Retry { error: "busy", after: None },
//!     _ => AttemptOutcome::Done(word.len()),
//! })?;
//! assert_eq!(answers.wait().into_values().unwrap(), [1, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | take |
//! |---|---|
//! | call a service, with jobs that block or are futures | [`Requests`] |
//! | say how an attempt has ended | [`AttemptOutcome`] |
//! | try again | [`Retry`], and [`RetryBudget`] for a whole batch |
//! | keep to the limits of a service, in all batches together | [`RateLimiter`], with a pace or with [`Quota`]s |
//! | back off while a service is overloaded | [`Throttle`] |
//! | close a service until the instant that it states | [`AttemptOutcome::Closed`], [`RateLimiter::close_until`] |
//! | start a second attempt beside a slow one | [`Hedge`] |
//! | order the results of each key on their own | [`Requests::ordered_by_key`] |
//! | bound the memory of the items | [`BatchBuilder::weight`], before `requests` |
//! | count attempts, retries and waits | [`RequestStats`], [`LimiterStats`], the feature `metrics` |
//!
//! The batch has the limits, such as deadlines, cancellation and time-outs of items. Set them
//! before `requests`. [`Executor::snapshot`] shows an attempt that no worker starts, and
//! [`Failure`] has the attempts and the last error of an item.
//!
//! The types of the executor that occur here are exported again, so one dependency is enough.
//!
//! # When not to use it
//!
//! If the results may come in any order, a semaphore and a loop are simpler. If several processes
//! share one quota, a limiter does not help: it knows the callers of its own process only.
//!
//! # Features
//!
//! None of them is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `metrics` | the statistics of each limiter with a [name](RateLimiterBuilder::name), as counters and gauges of the crate [`metrics`](https://docs.rs/metrics) |
//! | `tokio` | [`Spawn`] for `tokio::runtime::Handle`; some blocking calls in a task of a tokio runtime panic |
//! | `tracing` | a span for each batch of requests, in which its jobs run, and events, also of the progress |
//!
//! `tokio` and `tracing` are features of the executor.

mod attempt;
mod builder;
mod dispatcher;
mod driver;
mod hedge;
mod jobs;
mod keyed;
mod limiter;
mod primitive;
mod requests_ext;
mod retry;
mod retry_budget;
mod stats;
mod throttle;
mod weigh;

#[doc(no_inline)]
pub use reorder_executor::{
    BatchBuilder, BatchHandle, BatchReport, BuildError, CancellationToken, ConcurrencyLimit,
    Executor, Failure, KeyedOutcome, Ordered, OrderedByKey, Outcome, Panic, Refused, Shutdown,
    Spawn, Unfinished, WeighedBatch,
};

pub use attempt::{Attempt, AttemptOutcome};
pub use builder::Requests;
pub use hedge::Hedge;
pub use keyed::KeyedRequests;
pub use limiter::{Limit, LimiterStats, NotUntil, Quota, RateLimiter, RateLimiterBuilder};
pub use requests_ext::RequestsExt;
pub use retry::Retry;
pub use retry_budget::RetryBudget;
pub use stats::RequestStats;
pub use throttle::{Throttle, ThrottleError};
pub use weigh::Weigh;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
