//! An async stream whose items become futures on a runtime. The outcomes come in order.
//!
//! ```text
//!  source ──poll──▶ puller ──spawn──▶ jobs ──complete──▶ ring ──▶ MapOrdered
//!                      ▲                                             │
//!                      └──────────────── space ──────────────────────┘
//! ```
//!
//! The puller is a task of the runtime, and so is each job. So they run while the consumer does not
//! poll. No executor takes part.
//!
//! | file | contents |
//! |---|---|
//! | `map_ordered` | the consuming side: the stream of outcomes |
//! | `puller` | the task that polls the source and spawns the jobs |
//! | `job` | the task of one item |
//! | `running` | the running jobs, which the consumer can abort |

mod job;
pub(crate) mod map_ordered;
mod puller;
mod running;

use std::sync::Arc;

use reorder_ring::Ring;

use crate::outcome::Outcome;
use crate::unwind::drop_each;

/// An outcome on its way to the consumer. If several are dropped at once, the first panic of a
/// `Drop` is passed on, and others are caught.
struct Parcel<U>(Option<Outcome<U>>);

/// The ring of one stream.
type OutcomeRing<U> = Arc<Ring<Parcel<U>>>;

impl<U> Parcel<U> {
    fn new(outcome: Outcome<U>) -> Parcel<U> {
        Parcel(Some(outcome))
    }

    fn open(mut self) -> Outcome<U> {
        self.0.take().expect("a parcel is opened once")
    }
}

impl<U> Drop for Parcel<U> {
    fn drop(&mut self) {
        drop_each(self.0.take().into_iter());
    }
}
