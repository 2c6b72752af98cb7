//! Values are completed in any order, on any thread, and delivered in the order in which their
//! places were reserved. Batches follow each other on one [`Ring`] and never mix: a value that comes
//! late, twice, or for another batch or ring changes nothing, and goes back to its sender.
//!
//! ```text
//!                  complete(ticket, value)           from any thread, in any order
//!                     │      │         │
//!         ┌───────┬───▼───┬──▼────┬────▼──┬───────┬───────┐
//!         │ 6     │ 7     │ 8     │ 9     │ 10    │ 11    │   position p lives in slot p mod capacity
//!         │ taken │missing│ ready │writing│ ready │ armed │
//!         └───────┴───────┴───────┴───────┴───────┴───────┘
//!                 ▲                               ▲
//!                 head: next to deliver           tail: next to reserve
//!                 └─────────── window ────────────┘
//!
//! the life of an item:   reserve ──► missing ──► writing ──► ready ──► taken, the slot armed again
//!                                       └── evict, or a permit is dropped ──► gap ──► taken
//! ```
//!
//! ```
//! use reorder_ring::{Reason, Ring};
//!
//! let ring = Ring::with_capacity(4)?;
//! let mut batch = ring.open()?;
//! let (first, second) = (batch.reserve()?, batch.reserve()?);
//!
//! ring.complete(second, "second")?;
//! ring.complete(first, "first")?;
//! let refused = ring.complete(first, "again").unwrap_err();
//! assert_eq!((refused.reason, refused.value), (Reason::Duplicate, "again"));
//!
//! let values: Vec<_> = batch.drain_ready().map(|delivery| delivery.outcome).collect();
//! assert_eq!(values, [Ok("first"), Ok("second")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Two sides
//!
//! One thread may reserve and another take, while any number of them complete. Reserving never
//! waits: a full window is the answer [`ReserveError::Full`]. [`Producer::poll_space`] and, with
//! `std`, `wait_for_space` wait for the consumer.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use reorder_ring::Ring;
//!
//! let ring = Ring::with_capacity(8)?;
//! let (mut producer, mut consumer) = ring.open()?.split();
//! let taken = std::thread::scope(|scope| {
//!     for n in 0..8 {
//!         let permit = producer.permit()?;
//!         scope.spawn(move || permit.complete(n * n));
//!     }
//!     producer.finish();
//!     let mut taken = Vec::new();
//!     while let Some(delivery) = consumer.next()? {
//!         taken.push(delivery.outcome?);
//!     }
//!     Ok::<_, Box<dyn std::error::Error>>(taken)
//! })?;
//! assert_eq!(taken, [0, 1, 4, 9, 16, 25, 36, 49]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Many batches
//!
//! A ring hosts one batch at a time. With the feature `pool`, a `RingPool` leases one to each of many
//! batches, whose sizes may differ, and finds the ring of a ticket that comes late.
//!
//! # Over a wire
//!
//! A ticket can leave the process, as [128 bits](Ticket::to_bits) or as [their text](TicketBits), and
//! come back late, twice or damaged. [`Ring::ticket_from_bits`] alone, or that of a pool, makes a ticket
//! of bits, and of none that were not issued.
//!
//! # What keeps a batch from stalling
//!
//! In-order delivery waits for the head of line. If that never comes:
//!
//! * A [`Permit`] that is dropped, also by a panic, becomes a gap at its place. A plain [`Ticket`] is
//!   cheaper to pass around, but its loss is noticed by nobody.
//! * [`Consumer::head_of_line`] tells which position is missing, and `next_timeout` limits the wait
//!   (with `std`).
//! * [`Consumer::evict_head`], [`evict_index`](Consumer::evict_index) and [`Ring::evict`] turn a
//!   missing position into a gap, wherever it stands in the window. One that is being written or is
//!   ready cannot be evicted.
//! * A [`Canceller`] ends the batch from anywhere.
//!
//! # Ends
//!
//! | [`try_next`](Consumer::try_next) | [`next`](Consumer#method.next), [`poll_next`](Consumer::poll_next) | when | may change |
//! |---|---|---|---|
//! | `Pending` | they wait | the head is not reserved, or not ready | yes |
//! | `Ended` | `Ok(None)` | finished, and all of it was delivered | no |
//! | `Truncated` | `Err(Truncated)` | the producer was dropped unfinished; what it reserved was delivered | no |
//! | `Cancelled` | `Err(Cancelled)` | cancelled, and the head is not ready | if the head is completed after all |
//!
//! A ring opens again when both sides are gone. A completer that is just writing then is not waited
//! for: it keeps its slot, its value is dropped by a later [`Ring::open`] or with the ring, and
//! until it is done `open` says [`Busy::Orphaned`].
//!
//! # Progress
//!
//! Atomic accesses, whatever other threads do:
//!
//! <!-- bounds:begin table -->
//!
//! | operation | at most | not counted |
//! |---|---|---|
//! | [`Producer::reserve`], [`Producer::reserve_many`] | 2 loads and 1 store |  |
//! | [`Producer::permit`] | 2 loads and 1 store | cloning an `Arc` |
//! | [`Ring::complete`], [`Permit::complete`] | 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the store | waking the consumer; counting a refusal |
//! | [`Ring::evict`], dropping a [`Permit`] | 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the store | waking the consumer; counting a refusal |
//! | [`Consumer::evict_head`], [`Consumer::evict_index`] | 1 load more than `Ring::evict` | waking the consumer; counting a refusal |
//! | [`Consumer::try_next`] | 1 load and 2 stores for a value; 2 loads and 2 stores for a gap; 5 loads for neither; if the batch was cancelled, 6 loads and 2 stores or 8 loads | waking the producer; after the split, a look for its waker, once per half window and when the consumer finds nothing |
//! | [`Consumer::drain_ready`], for each delivery | 1 load and 2 stores for a value; 2 loads and 2 stores for a gap; 2 loads at the end | as for `try_next` |
//! | [`Consumer::poll_next`] | 19 steps | registering the waker, which clones and wraps it; as for `try_next` |
//! | [`Producer::poll_space`] | 4 loads | registering the waker, which clones and wraps it |
//! | [`Producer::space`] | 1 load |  |
//! | [`Ring::ticket_from_bits`] | 1 load |  |
//! | [`Consumer::head_of_line`] | 2 loads |  |
//! | [`Ring::refusals`] | 7 loads |  |
//! | [`Canceller::cancel`] | 1 load and 2 compare-and-swaps | waking both sides |
//! | [`Ring::open`], [`Ring::open_owned`] | 2 loads and 1 compare-and-swap; after an orphan, a constant more and 4 steps for each slot | `Drop` of orphaned values |
//! | [`Producer::finish`], dropping a side | a constant; for the last side, and for a consumer that goes first, 4 steps more for each slot of the window | waking the other side; `Drop` of undelivered values and of wakers |
//! | `Consumer::next`, `Consumer::next_timeout`, `Consumer::next_deadline` | blocking: in-order delivery waits for the head |  |
//! | `Producer::wait_for_space` | blocking: it waits for the consumer |  |
//! | `RingPool::complete`, `RingPool::evict`, `RingPool::ticket_from_bits` | lock-free: it pins an epoch, and does the same as on a ring | registering the thread at its first pin; freeing memory |
//! | `RingPool::lease`, dropping the last handle of a lease | lock-free: a compare-and-swap for each attempt on one stack; 4 steps for each slot of a ring with an orphan | the allocator; `Drop` of values; freeing memory |
//! | `RingPool::trim` | lock-free: the same for each ring that it frees | `Drop` of values; freeing memory |
//! | `RingPool::usage` | 3 loads |  |
//! | `RingPool::refusals` | lock-free: it pins an epoch, and takes a constant number of loads for each place of the pool |  |
//!
//! <!-- bounds:end -->
//!
//! An item that nobody waits for costs one read-modify-write in its life, that of `complete`; the
//! look for a waiting producer is two in half a window, and none before the split. Where
//! the machine makes a compare-and-swap out of a loop, that loop is not counted either.
//!
//! # Memory
//!
//! The slots are allocated once, with the ring: 8 bytes each, the value, and what alignment asks
//! for. Nothing is allocated per item or per batch; the first blocking wait of a thread allocates
//! what it sleeps on, and polling a wrapper of the waker, when that changes. At most `capacity` values
//! are held at once, and each is delivered, handed back or dropped exactly once.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `std` | yes | the blocking waits: `next`, `next_timeout`, `next_deadline` and `wait_for_space` |
//! | `pool` | yes | `RingPool`; includes `std` |
//! | `stream` | no | `into_stream`, with the traits of `futures-core` |
//! | `serde` | no | [`Ticket`] serialized, [`TicketBits`] serialized and deserialized |
//!
//! Without any, the crate needs `alloc` and 64-bit atomics. Rings are told apart by numbers that start
//! from a random one with `std`, and from where the program was loaded without; so bits of a ticket
//! that come from another process may then name a ring of this one.
//!
//! # Guides
//!
//! Each is a program in the folder `examples`, and asserts what it says.
//!
//! | for | run it with | it shows |
//! |---|---|---|
//! | a pipeline | `--example pipeline` | a thread that reads, threads that work, a thread that releases in order; a worker that fails |
//! | a pool of threads that you have, such as rayon's | `--example rayon_fan_out` | a producer that waits for room; what a pool must not wait for; a job that panics |
//! | an async service | `--features stream --example async_fan_out` | tasks on tokio and a stream of answers; a task that dies, and one that is aborted |
//! | messages that arrive at least once | `--example message_consumer` | tickets in headers; messages that come twice, cannot be handled, or are of an earlier run |
//!
//! # When not to use it
//!
//! Results that arrive in order, or whose order does not matter, want a channel. A finite batch that
//! nobody looks at before it is complete wants a slice and a counter. The crate `reorder-executor`
//! brings threads and streams on top of this one.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | ring | a row of slots, allocated once, that serves one batch after the other |
//! | batch | one ordered sequence, from [`open`](Ring::open) until both of its sides are gone |
//! | position | the number of a reservation, which its ring never gives again; counted from the start of the batch it is an *index* |
//! | slot | where the value of a position lies until it is taken: that of `p` in slot `p mod capacity` |
//! | generation | how many positions a slot has served before; by it, a late completion is told from one in time |
//! | ticket | a position and its ring as plain data, which entitles to complete or evict: [`Ticket`] |
//! | permit | a ticket with one owner; dropped unused, it leaves a gap: [`Permit`] |
//! | window | the positions that are reserved and not delivered, at most as many as there are slots |
//! | head of line | the oldest position of the window, for which all others wait: [`HeadOfLine`] |
//! | gap | what is delivered in place of a value that will not come: [`Gap`] |
//! | orphan | a slot that was just being written when its batch closed |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
// So that tests of the public interface can be run inside of the crate as well.
#[cfg(all(test, feature = "pool", not(reorder_loom)))]
extern crate self as reorder_ring;
#[cfg(any(feature = "std", test, reorder_loom))]
extern crate std;

#[cfg(not(target_has_atomic = "64"))]
compile_error!("reorder-ring needs 64-bit atomics, which this target does not have");

// The layers, from top to bottom. A module imports from modules below its own alone.
#[cfg(feature = "pool")]
mod pool;

mod batch;

mod consumer;
mod producer;

mod ring;

mod ticket;

mod delivery;
mod errors;

mod primitive;

#[cfg(doctest)]
mod compile_fail;
#[cfg(all(test, not(reorder_loom)))]
mod tests;

/// For tests that count steps or stop a thread at one of them.
#[cfg(reorder_hooks)]
#[doc(hidden)]
pub use primitive::hook;
/// For `reorder-executor`, whose accesses are watched as well.
#[cfg(any(reorder_loom, reorder_hooks))]
#[doc(hidden)]
pub use primitive::watched;

pub use batch::Batch;
pub use consumer::canceller::Canceller;
pub use consumer::head_of_line::{HeadOfLine, HeadState};
#[cfg(feature = "stream")]
pub use consumer::stream::ConsumerStream;
pub use consumer::{Consumer, DrainReady};
pub use delivery::{Delivery, Gap};
pub use errors::{
    Busy, CapacityError, NextError, NextTimeoutError, Reason, Rejected, ReserveError, SpaceError,
    SpaceTimeoutError, TicketError, TryNextError,
};
#[cfg(feature = "pool")]
pub use pool::{Lease, PoolUsage, RingPool};
pub use producer::Producer;
pub use producer::permit::Permit;
pub use ring::Ring;
pub use ring::refusals::Refusals;
pub use ring::ring_ref::RingRef;
pub use ticket::bits::{ParseTicketError, TicketBits};
pub use ticket::{Ticket, Tickets};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
