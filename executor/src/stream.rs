//! Streams: outcomes in the order of a lazy source.
//!
//! | file | contents |
//! |---|---|
//! | `core` | the producing side: workers pull items and run them |
//! | `core/pull`, `core/by_key` | the pull; the items of a stream with keys |
//! | `ordered` | the consuming side: the handle that users hold |
//! | `item_results` | the handle as an iterator of results that name their item |
//! | `values` | the handle as an iterator of plain values |
//! | `head_limits` | what limits mean for the consumer |
//! | `in_call` | how nested calls find out whether they are unwanted |
//! | `open` | `Executor::stream`, and how any stream begins |
//! | `work` | what the handle needs of the producing side |
//! | `progress` | the counters of a stream or queue: pulled and finished items, and the total |
//! | `parked` | items that wait for earlier items of their key |
//! | `by_key` | the handle of a stream whose outcomes are in order by key |
//! | `backlog` | chunks of cheap items that a worker has pulled for other threads |

pub(crate) mod backlog;
pub(crate) mod by_key;
mod core;
pub(crate) mod head_limits;
mod in_call;
pub(crate) mod item_results;
pub(crate) mod open;
pub(crate) mod ordered;
mod parked;
pub(crate) mod progress;
pub(crate) mod values;
pub(crate) mod work;

pub(crate) use self::by_key::OrderedByKey;
#[cfg(reorder_loom)]
pub(crate) use self::core::Core;
pub(crate) use self::open::{
    Opened, open_by_key, open_lazy, open_ring, open_stream, publish, publish_with_limits,
};
pub(crate) use self::ordered::observe::Progress;
pub(crate) use self::ordered::{ConsumerEnd, Ordered};
pub(crate) use self::values::{TryValues, Values};
pub(crate) use self::work::{AnyStats, Helper, Skip, StreamWork};
