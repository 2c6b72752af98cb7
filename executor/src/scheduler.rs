//! The scheduler: worker threads, and the open calls that they run.
//!
//! ```text
//!  callers ──publish──▶ registry: open calls ◀──list── worker ──▶ work.run_slice(time_slice)
//!     │                    │                              │
//!     │                    ▼                              ▼
//!     └─notify_work──▶  idle workers ◀──────────────── try_sleep
//! ```
//!
//! | file | contents |
//! |---|---|
//! | `registry` | the open and the admitted calls: `Scheduler`, which holds all of this |
//! | `idle` | sleeping and searching workers, and their wake-ups |
//! | `worker_thread`, `threads` | a worker thread as others see it, and the list of them |
//! | `monitor`, `source_watch` | finds threads that stay inside a source |
//! | `supervise` | lets another thread take the place of a thread that is blocked in a source |
//! | `worker` | the loop of a worker thread |
//! | `known` | the lists of calls that workers keep, from which ended calls are removed |
//! | `work` | the traits of what workers run |
//! | `rest` | calls that have nothing to claim before an event |
//! | `time_slice` | the time that one thread stays with one call |
//! | `gate` | the bound of the threads of one call |
//! | `fair_share` | the virtual run time by which workers choose the next call |
//! | `borrowed` | work that borrows from its caller |
//! | `park` | how other threads wait |

pub(crate) mod borrowed;
pub(crate) mod fair_share;
pub(crate) mod gate;
pub(crate) mod idle;
pub(crate) mod known;
pub(crate) mod monitor;
pub(crate) mod park;
pub(crate) mod registry;
pub(crate) mod rest;
pub(crate) mod source_watch;
pub(crate) mod supervise;
pub(crate) mod threads;
pub(crate) mod time_slice;
pub(crate) mod work;
pub(crate) mod worker;
pub(crate) mod worker_thread;

pub(crate) use self::borrowed::{BorrowGuard, with_borrowed};
pub(crate) use self::fair_share::{FairShare, RunTime};
pub(crate) use self::gate::Limited;
pub(crate) use self::gate::{ConcurrencyLimit, Gate};
pub(crate) use self::registry::{Admission, GRACE, OpenWork, Remaining, Scheduler};
pub(crate) use self::rest::Rest;
pub(crate) use self::source_watch::{Look, SourceWatch};
pub(crate) use self::threads::{ThreadHook, ThreadSettings};
pub(crate) use self::time_slice::{Inside, TimeSlice, is_inside};
pub(crate) use self::work::{CallKind, Progress, Published, Work};
pub(crate) use self::worker::is_worker_of;
#[cfg(test)]
pub(crate) use self::worker_thread::WorkerThread;
