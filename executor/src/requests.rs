//! Requests to a service: items that may need several attempts.
//!
//! | file | contents |
//! |---|---|
//! | `builder`, `attempt_outcome`, `retry`, `throttle`, `limiter`, `spawn` | what users write |
//! | `dispatcher` | which item is next, and when: the state machine |
//! | `jobs`, `in_flight` | attempts, on a worker or on a runtime |
//! | `driver` | carries out what the dispatcher decides |
//! | `driver/source`, `driver/seen` | pulls items; implements the traits of the scheduler |

mod attempt_outcome;
pub(crate) mod builder;
mod dispatcher;
mod driver;
mod in_flight;
mod jobs;
mod limiter;
mod retry;
mod spawn;
mod throttle;

pub use self::attempt_outcome::AttemptOutcome;
pub use self::builder::Requests;
pub use self::jobs::Attempt;
pub use self::limiter::{RateLimiter, RateLimiterBuilder};
pub use self::retry::Retry;
pub use self::spawn::Spawn;
pub use self::throttle::{Throttle, ThrottleError};
