//! The limits that end a call early: deadlines, cancellation, a failed item, a shutdown.
//!
//! | file | contents |
//! |---|---|
//! | `budget` | the bound of the total weight of items |
//! | `policy` | the state machine: what an event means for an item |
//! | `state` | the policy of one call, and the start times of its items |
//! | `current` | the job that the current thread runs, and the job that waits for a call |
//! | `cancellation` | the token that users share |
//! | `timer` | wake-ups at an instant |
//! | `timing` | the instants that a call reports |

pub(crate) mod budget;
pub(crate) mod cancellation;
pub(crate) mod current;
pub(crate) mod policy;
pub(crate) mod state;
pub(crate) mod timer;
pub(crate) mod timing;

pub(crate) use self::budget::Budget;
pub(crate) use self::cancellation::CancellationToken;
pub(crate) use self::current::{Current, OuterJob, RunningItem, Waiting, current_job};
pub(crate) use self::policy::Limits;
pub(crate) use self::state::LimitState;
pub(crate) use self::timer::SharedTimer;
pub(crate) use self::timer::TaskTimer;
pub(crate) use self::timing::{CompletionFrontier, Timing};
