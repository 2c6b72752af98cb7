//! A shared executor that returns the results of each call complete and in order.
//!
//! Any number of threads call one [`Executor`] at once, also from its own jobs. Each call is a
//! batch with a reorder ring of its own, so results cannot mix.
//!
//! ```
//! use reorder_executor::Executor;
//!
//! let executor = Executor::builder().workers(2).build()?;
//! let (lengths, squares) = std::thread::scope(|scope| {
//!     let other = scope.spawn(|| executor.map(0..100u64, |n| n * n));
//!     (executor.map(["one", "three"], str::len), other.join().expect("no panic"))
//! });
//! assert_eq!(lengths, [3, 5]);
//! assert_eq!(squares.len(), 100);
//! # Ok::<(), reorder_executor::BuildError>(())
//! ```
//!
//! [`IteratorExt`] needs no set-up. Its methods use [`Executor::global`], which is made at its
//! first use.
//!
//! ```
//! use reorder_executor::IteratorExt;
//!
//! for square in (0..100_u64).ordered_map(|n| n * n).take(10) {
//!     println!("{square}");
//! }
//! ```
//!
//! | call | input | results |
//! |---|---|---|
//! | [`map`](Executor::map) | known, may borrow | a `Vec` of values; the first panic is resumed |
//! | [`map_indexed`](Executor::map_indexed) | the indices up to a length | the same |
//! | [`map_init`](Executor::map_init) | known, may borrow | the same; each thread has its own state |
//! | [`try_map`](Executor::try_map) | known, may borrow | a `Vec` of values, or the first error in the order of the items |
//! | [`execute_batch`](Executor::execute_batch) | known, may borrow | an [`Outcome`] for each item |
//! | [`batch`](Executor::batch), `run` | known, may borrow | the same; jobs may fail, and the batch may end early |
//! | `batch`, [`submit`](BatchBuilder::submit) | known, `'static` | the same, later: block on it, or await it |
//! | `batch`, [`stream`](BatchBuilder::stream) | lazy, may be endless, `'static` | as `stream`, with limits |
//! | `batch`, `requests` of the crate [`reorder-requests`](https://docs.rs/reorder-requests) | the same two, as calls to a service | the same two; waiting attempts keep no worker |
//! | [`ordered_map`](IteratorExt::ordered_map), a method of iterators | lazy, may be endless | an iterator of values; a panic is resumed at its place |
//! | [`try_ordered_map`](IteratorExt::try_ordered_map) | lazy, may be endless | an iterator of the job's results, up to the first error |
//! | [`stream`](Executor::stream) | lazy, may be endless, `'static` | an iterator of outcomes, in order, within a window |
//! | [`Scope::stream`] | lazy, may be endless, may borrow | the same, inside [`scope`](Executor::scope) |
//! | [`Scope::batch`] | the same | as `batch`: a report, or a stream with limits, also with `weight` or by key |
//! | [`queue`](Executor::queue), [`task_queue`](Executor::task_queue) | sent one by one, by threads and tasks, `'static` | the same, in the order of the sends |
//! | `batch(())`, [`queue`](BatchBuilder::queue) | the same | as `queue`, with limits |
//! | [`map_ordered`](StreamExt::map_ordered), a method of async streams | lazy, may be endless | a stream of outcomes of futures, which a runtime runs |
//! | `batch`, [`weight`](BatchBuilder::weight) | lazy, may be endless, `'static` | as `stream` of a `batch`, within a bound of bytes or tokens |
//! | `batch`, [`ordered_by_key`](BatchBuilder::ordered_by_key) | lazy, may be endless, `'static` | outcomes in order by key, with their indices; [`CommitFrontier`] tells which prefix is done |
//! | [`OrderedWriter`] | bytes that are written | encoded blocks, written to a sink in order |
//! | [`OrderedReader`] | frames of an input | their contents, by `Read` and `BufRead` |
//!
//! A job that panics gives its item a [`Failure`], and affects nothing else. With `panic = "abort"`
//! the process ends instead. The caller of a batch runs items of that batch and of no other, so
//! nested calls work even with one worker.
//!
//! # Which thread waits
//!
//! `map` and its variants, `try_map`, `execute_batch` and `run` need no worker. If other batches
//! occupy all workers, the caller runs its items itself. It waits only for items of its own batch
//! that a worker has started.
//!
//! The consumer of a stream waits for the workers, unless [it helps](Builder::consumer_helps). The
//! stream stands still while other jobs occupy all workers. So a job must not wait for a thread
//! that waits for a stream of the same executor. A job may take from such a stream itself. The
//! thread that calls an [`OrderedWriter`] encodes blocks while it waits, unless the setting is off.
//!
//! A job that blocks occupies its worker. A source that blocks does not: another thread takes the
//! worker's place, and items that were pulled run meanwhile. The same holds if a worker waits for
//! room in a [`queue`](Executor::queue). An item that waits in a [dispatcher](dispatch) occupies no
//! worker.
//!
//! # Observation
//!
//! [`Executor::snapshot`] shows the open calls and the workers that hold them up. The handle of a
//! stream or a batch shows its own [`progress`](Ordered::progress), and its [`id`](Ordered::id) in
//! snapshots. With the feature `tracing`, each call has a span, and its jobs run in this span, on
//! every thread. Its parent is the span in which the call was made. There are events for each call
//! that is opened or closed, for each item that is skipped, and at most once a second for the
//! progress of a call.
//!
//! # When not to use it
//!
//! If results may come in any order, a channel or a work-stealing pool is simpler.
//!
//! # Features
//!
//! None of them is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `sink` | `Sink` of `futures-sink` for [`QueueSender`] |
//! | `tokio` | [`Spawn`] for `tokio::runtime::Handle`; some blocking calls in a task of a tokio runtime panic |
//! | `tracing` | a span for each call, in which its jobs run, and events, also of the progress |
//!
//! With the feature `tokio`, these calls panic in a task of a tokio runtime. Elsewhere, and inside
//! of `spawn_blocking`, they block.
//!
//! * [`BatchHandle::wait`] and `wait_timeout`.
//! * [`Executor::shutdown`] without a limit of time.
//! * `next` of [`Ordered`] and of the iterators made from it, unless the outcome was taken from the
//!   workers together with an earlier one.
//! * [`QueueSender::send`], [`OrderedWriter`] and [`OrderedReader`], if they have to wait.
//!
//! [`Executor::map`], [`BatchBuilder::run`], [`Executor::scope`] and the other calls that return
//! after their jobs also block the thread of a task, and do not panic.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod block_io;
mod builder;
mod commit_frontier;
#[cfg(doctest)]
mod compile_fail;
mod cost;
pub mod dispatch;
mod executor;
mod global;
mod io;
mod iterator_ext;
mod limits;
mod map;
mod memory;
#[cfg(reorder_loom)]
#[doc(hidden)]
pub mod model;
mod observe;
mod outcome;
mod primitive;
mod queue;
mod scheduler;
mod scope;
mod shutdown;
mod snapshot;
mod spawn;
mod spawned;
mod stream;
mod stream_ext;
mod thread_states;
mod unwind;

/// The reason in [`BuildError::Window`], from the crate `reorder-ring`.
#[doc(inline)]
pub use reorder_ring::CapacityError;

pub use batch::builder::{BatchBuilder, Job};
pub use batch::handle::{BatchHandle, Refused};
pub use batch::keyed::KeyedBatch;
pub use batch::report::BatchReport;
pub use batch::weighed::WeighedBatch;
pub use block_io::block::Block;
pub use block_io::frame::{Frame, frames_of};
pub use block_io::reader::{OrderedReader, OrderedReaderBuilder};
pub use block_io::sink::BlockSink;
pub use block_io::writer::{OrderedWriter, OrderedWriterBuilder};
pub use builder::{BuildError, Builder};
pub use commit_frontier::{AlreadyDone, CommitFrontier};
pub use executor::Executor;
pub use iterator_ext::IteratorExt;
pub use limits::cancellation::{CancelOnDrop, CancellationToken};
pub use limits::timing::Timing;
pub use outcome::{Failure, ItemError, Outcome, Panic, Unfinished};
pub use queue::builder::QueueBuilder;
pub use queue::place::Place;
pub use queue::sender::{QueueSender, SendError, Task, TrySendError};
pub use scheduler::gate::ConcurrencyLimit;
pub use scheduler::work::CallKind;
pub use scope::Scope;
pub use shutdown::{Shutdown, ShutdownReport};
pub use snapshot::{Head, OpenCall, Snapshot, WorkerActivity};
pub use spawn::Spawn;
pub use spawned::map_ordered::MapOrdered;
pub use stream::by_key::{KeyedOutcome, OrderedByKey};
pub use stream::item_results::ItemResults;
pub use stream::ordered::Ordered;
pub use stream::ordered::observe::{Progress, TimedOut};
pub use stream::values::{TryValues, Values};
pub use stream_ext::StreamExt;
pub use thread_states::ThreadStates;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
