//! Requests to a service: items that may need several attempts.
//!
//! | file | contents |
//! |---|---|
//! | `builder`, `retry`, `retry_budget`, `hedge`, `throttle`, `limiter` | the settings that users choose |
//! | `attempt` | the argument and the result of a job |
//! | `keyed` | outcomes in order by key |
//! | `weigh` | items that have weights |
//! | `dispatcher` | which item is next, and when: the state machine |
//! | `in_flight`, `jobs` | attempts that were dispatched, on a worker or on a runtime |
//! | `driver`, `driver/end` | carries out what the dispatcher decides, and ends items |
//! | `stats` | the statistics of a batch |
//! | `primitive` | the lock: real or modelled |

mod attempt;
mod builder;
mod dispatcher;
mod driver;
mod hedge;
mod in_flight;
mod jobs;
mod keyed;
mod limiter;
mod primitive;
mod retry;
mod retry_budget;
mod stats;
mod throttle;
mod weigh;

pub use self::attempt::{Attempt, AttemptOutcome};
pub use self::builder::Requests;
pub use self::hedge::Hedge;
pub use self::keyed::KeyedRequests;
pub use self::limiter::{Limit, LimiterStats, NotUntil, Quota, RateLimiter, RateLimiterBuilder};
pub use self::retry::Retry;
pub use self::retry_budget::RetryBudget;
pub use self::stats::RequestStats;
pub use self::throttle::{Throttle, ThrottleError};
pub use self::weigh::Weigh;
