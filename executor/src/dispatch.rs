//! Calls that a dispatcher of your own runs: which item is next, and when, and how often.
//!
//! The calls of this crate run each item once, as soon as a worker is free. A *dispatcher* decides
//! otherwise. It may start an item later, or several times, or on another runtime. The crate
//! [`reorder-requests`](https://docs.rs/reorder-requests) has one, for items that are calls to a
//! service.
//!
//! ```text
//!             pull                 add                 complete
//!  source ──────────▶ Call ──────────────▶ Dispatch ──────────────▶ Call ──▶ Ordered, in order
//!                      │  ◀── due? take, perform ──▶  │
//!  workers, consumer, timer
//! ```
//!
//! | part | does |
//! |---|---|
//! | [`Dispatch`] | decides, and carries out its decisions; you write it |
//! | [`Call`] | has the source, the limits, the timer and the ordered output; workers take turns at it |
//! | [`Setup`] | the settings of a call that is about to start |
//! | [`ItemTicket`] | the right to complete one item, from any thread |
//! | [`JobContext`] | a job of the call, as the thread that runs it sees it |
//!
//! [`BatchBuilder::stream_to`](crate::BatchBuilder::stream_to) and its siblings start such a call,
//! with the limits, the window, the weights and the keys of the batch. An item without a running
//! job occupies no worker. While the source blocks, other workers run what was pulled.
//!
//! # Example
//!
//! A dispatcher that runs each item a second time if the first try fails.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::task::Waker;
//! use reorder_executor::dispatch::{Call, Dispatch, Due, ItemTicket, Pull, State, Turn, now};
//! use reorder_executor::{Executor, Failure};
//!
//! struct Twice<F>(F, Mutex<Ready>);
//!
//! #[derive(Default)]
//! struct Ready {
//!     items: Vec<(ItemTicket, u32)>,
//!     state: State,
//!     is_pulling: bool,
//! }
//!
//! impl Ready {
//!     fn may_pull<D: Dispatch>(&self, call: &Call<D>) -> bool {
//!         !self.is_pulling && !self.state.is_source_ended && call.has_space()
//!     }
//! }
//!
//! impl<F: Fn(u32) -> Option<u32> + Send + Sync + 'static> Dispatch for Twice<F> {
//!     type Item = u32;
//!     type Value = u32;
//!     type Error = &'static str;
//!     /// An item to run, or `None` to pull one.
//!     type Action = Option<(ItemTicket, u32)>;
//!     type Stats = ();
//!
//!     fn due(&self, call: &Call<Self>, _: &mut Vec<Waker>) -> Due {
//!         let ready = self.1.lock().unwrap();
//!         let is_due = !ready.items.is_empty() || ready.may_pull(call);
//!         if is_due && !call.is_stopped() { Due::Now } else { Due::NEVER }
//!     }
//!
//!     fn take(&self, call: &Call<Self>) -> Option<Self::Action> {
//!         let mut ready = self.1.lock().unwrap();
//!         let item = if call.is_stopped() { return None } else { ready.items.pop() };
//!         match item {
//!             Some((ticket, _)) => call.note_start(ticket, now()),
//!             // No other thread pulls meanwhile.
//!             None if ready.may_pull(call) => ready.is_pulling = true,
//!             None => return None,
//!         }
//!         ready.state.running += usize::from(item.is_some());
//!         Some(item)
//!     }
//!
//!     fn perform(&self, call: &Arc<Call<Self>>, action: Self::Action, turn: &Turn<'_>) {
//!         let Some((ticket, item)) = action else {
//!             let is_ended = matches!(call.pull(turn), Pull::Ended);
//!             let mut ready = self.1.lock().unwrap();
//!             (ready.is_pulling, ready.state.is_source_ended) = (false, is_ended);
//!             return;
//!         };
//!         let result = (self.0)(item).or_else(|| (self.0)(item));
//!         call.complete(ticket, result.ok_or_else(|| Failure::failed("failed twice", 2)));
//!         let state = &mut self.1.lock().unwrap().state;
//!         (state.running, state.finished) = (state.running - 1, state.finished + 1);
//!     }
//!
//!     fn add(&self, ticket: ItemTicket, item: u32, _is_open: bool) -> Result<(), u32> {
//!         let mut ready = self.1.lock().unwrap();
//!         ready.items.push((ticket, item));
//!         ready.state.pulled += 1;
//!         Ok(())
//!     }
//!
//!     fn add_finished(&self) {
//!         let state = &mut self.1.lock().unwrap().state;
//!         (state.pulled, state.finished) = (state.pulled + 1, state.finished + 1);
//!     }
//!
//!     fn state(&self) -> State {
//!         let ready = self.1.lock().unwrap();
//!         State { waiting: ready.items.len(), ..ready.state }
//!     }
//!
//!     fn stats(&self) {}
//! }
//!
//! let executor = Executor::builder().workers(2).build()?;
//! let half = |n: u32| (n != 3).then_some(n / 2);
//! let outcomes = executor.batch([2, 4, 3, 6]).stream_to(|_| Twice(half, Mutex::default()))?;
//! let halves: Vec<Option<u32>> = outcomes.map(Result::ok).collect();
//! assert_eq!(halves, [Some(1), Some(2), None, Some(3)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod by_key;
mod call;
mod dispatcher;
mod job;
mod open;
mod pull;
mod run_time;
mod setup;
mod source;
mod waker;
mod work;

pub use self::call::Call;
pub use self::dispatcher::{Dispatch, Due, ItemTicket, Pull, Skipped, State, Turn};
pub use self::job::JobContext;
pub use self::run_time::SharedRunTime;
pub use self::setup::Setup;
pub use self::source::SourceState;
pub use crate::limits::timer::SharedTimer;
pub use crate::outcome::Stop;
pub use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// Returns the time by the clock of the executors. Only in models it is not [`Instant::now`].
///
/// [`Instant::now`]: std::time::Instant::now
pub fn now() -> std::time::Instant {
    crate::primitive::now()
}
