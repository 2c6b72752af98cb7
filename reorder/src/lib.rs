//! A ring that puts values in order. Threads complete positions in any order, and the consumer gets
//! the values in the order in which the positions were reserved.
//!
//! Batches follow each other on one [`Ring`] and never mix. The ring refuses a value that comes
//! late, twice, or for another batch or ring, and returns it to the caller with the reason.
//!
//! ```text
//!  position    6       7         8       9         10      11        slot: position mod capacity
//!            ┌───────┬─────────┬───────┬─────────┬───────┬────────┐
//!            │ taken │ missing │ ready │ writing │ ready │ vacant │  8 and 10 came early, and wait
//!            └───────┴─────────┴───────┴─────────┴───────┴────────┘
//!                      ▲                 ▲                 ▲
//!                      head: consumer    a thread calls    tail: producer
//!                      waits for it      complete() on it  reserves it next
//!                    └──────────── window ───────────────┘
//!
//! a position:   reserve ──► missing ──► writing ──► ready ──► taken; the slot is vacant again
//!                              └── evict, or drop a permit ──► gap ──► taken
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
//! One thread may reserve and another thread take, while any number of threads complete. A
//! reservation never waits: if the window is full, it returns [`ReserveError::Full`].
//! [`Producer::poll_space`], and `wait_for_space` with `std`, wait until the consumer makes space.
//! [`Producer::poll_space_many`] and `wait_for_space_many` wait until several positions fit.
//!
//! Async code waits by [`Producer::wait_for_space_async`],
//! [`wait_for_space_many_async`](Producer::wait_for_space_many_async) and
//! [`Consumer::next_async`], on any runtime. Their futures may be dropped at any time, and nothing
//! is lost.
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
//! A ring has one open batch at a time. With the feature `pool`, a `RingPool` leases a ring to each
//! of many batches of different sizes. It also finds the ring of a late ticket.
//!
//! # Over a wire
//!
//! A ticket can leave the process, as [128 bits](Ticket::to_bits) or as [their text](TicketBits).
//! It may come back late, twice or damaged. [`Ring::ticket_from_bits`], or the same method of a
//! pool, makes a ticket from bits that the ring has issued, and refuses all others.
//!
//! # After a restart
//!
//! A process may end while the results of its tickets are under way. The next process makes a ring
//! by [`Ring::resume`], from the identity of the old ring and the number of results that were
//! delivered. The new ring accepts the missing results, and refuses a result that was delivered.
//!
//! # Items with numbers of their own
//!
//! The packets of a stream bring their own numbers, and arrive early, late, twice or never. There
//! the index of an item is known before its position is reserved, and no table of tickets is
//! needed:
//!
//! * [`Producer::reserve_through`] reserves all positions up to an index. An index beyond the
//!   window is an error that tells how far the window reaches.
//! * [`Producer::complete_index`] completes the position of an index. The ring refuses an item that
//!   comes late or twice, and returns it with the reason.
//! * A [`Completer`] does the same from any thread.
//! * A number that never arrives leaves a missing position. After a time-out of its own, the
//!   consumer evicts the head of line, and goes on with the next one.
//! * If the numbering restarts, open a new batch. Its indices begin at 0, and it accepts nothing by
//!   a completer of an earlier batch.
//!
//! ```
//! use reorder_ring::{Reason, Ring};
//!
//! let ring = Ring::with_capacity(4)?;
//! let mut batch = ring.open()?;
//! for (number, packet) in [(0, "a"), (2, "c"), (1, "b")] {
//!     batch.reserve_through(number)?;
//!     batch.complete_index(number, packet)?;
//! }
//! let packets: Vec<_> = batch.drain_ready().map(|delivery| delivery.outcome).collect();
//! assert_eq!(packets, [Ok("a"), Ok("b"), Ok("c")]);
//!
//! batch.reserve_through(1)?; // It is reserved already.
//! let late = batch.complete_index(1, "b again").unwrap_err();
//! assert_eq!((late.reason, late.value), (Reason::Settled, "b again"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Values of different sizes
//!
//! The ring bounds the number of outstanding values. A [`Budget`] beside the producer bounds their
//! total weight as well, such as bytes. A value that is heavier than the limit passes alone.
//!
//! # Missing positions
//!
//! In-order delivery waits for the head of line, which may never be completed:
//!
//! * A [`Permit`] that is dropped, also by a panic, leaves a gap. A plain [`Ticket`] is cheaper,
//!   but the ring cannot notice its loss.
//! * [`Consumer::head_of_line`] shows which position is missing. With `std`, `next_timeout` limits
//!   the wait. In async code, the time-out of the runtime limits `next_async`.
//! * [`Consumer::evict_head`], [`evict_index`](Consumer::evict_index) and [`Ring::evict`] turn a
//!   missing position of the window into a gap. A position that is ready, or that a completer is
//!   writing, cannot be evicted.
//! * A [`Canceller`] cancels the batch from any thread.
//!
//! # Ends
//!
//! | [`try_next`](Consumer::try_next) | [`next`](Consumer#method.next), [`next_async`](Consumer::next_async), [`poll_next`](Consumer::poll_next) | when | may change |
//! |---|---|---|---|
//! | `Pending` | they wait | the head is not reserved, or not ready | yes |
//! | `Ended` | `Ok(None)` | finished, and every position was delivered | no |
//! | `Truncated` | `Err(Truncated)` | the producer was dropped without `finish`, and every position was delivered | no |
//! | `Cancelled` | `Err(Cancelled)` | cancelled, and the head is not ready | if the head is completed later |
//!
//! A ring can be opened again when both sides are dropped. They do not wait for a completer that is
//! writing at that moment. Until it ends, [`Ring::open`] returns [`Busy::Orphaned`]. Its value is
//! dropped by a later `open`, or with the ring.
//!
//! # Progress
//!
//! The table shows the largest number of atomic accesses of each operation, whatever other threads
//! do.
//!
//! <!-- bounds:begin table -->
//!
//! | operation | at most | not counted |
//! |---|---|---|
//! | [`Producer::reserve`], [`Producer::reserve_many`], [`Producer::reserve_through`] | 2 loads and 1 store |  |
//! | [`Producer::permit`] | 2 loads and 1 store | cloning an `Arc` |
//! | [`Ring::complete`], [`Permit::complete`], [`Producer::complete_index`] | 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the store | waking the consumer; counting a refusal; a permit's reference to a shared ring |
//! | [`Completer::complete_index`] | 2 loads, 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the store | waking the consumer; counting a refusal |
//! | [`Ring::evict`], dropping a [`Permit`] | 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the store | waking the consumer; counting a refusal |
//! | [`Consumer::evict_head`], [`Consumer::evict_index`] | 1 load more than `Ring::evict` | waking the consumer; counting a refusal |
//! | [`Consumer::try_next`] | 2 loads and 2 stores for a value; 3 loads and 2 stores for a gap; 5 loads for neither; to notify a producer that waits, 3 steps more; if the batch was cancelled, 14 steps | the call of the producer's waker |
//! | [`Consumer::drain_ready`], for each delivery | 2 loads and 2 stores for a value; 3 loads and 2 stores for a gap; 2 loads at the end | as for `try_next` |
//! | [`Consumer::poll_next`] | 25 steps | registering the waker, which clones and wraps it; as for `try_next` |
//! | [`Producer::poll_space`], [`Producer::poll_space_many`] | 9 steps | registering the waker, which clones and wraps it |
//! | [`Producer::poll_cancelled`] | 2 loads | registering the waker, which clones and wraps it |
//! | [`Producer::space`], [`Producer::is_cancelled`] | 1 load |  |
//! | [`Budget::space_for`] | 1 load | steps in the memory of the budget, one for each position of the window |
//! | [`Budget::reserve`] | 3 loads and 1 store | as for `Budget::space_for`; the allocator |
//! | [`Ring::is_wanted`], [`Permit::is_wanted`] | 2 loads |  |
//! | [`Completer::ticket`] | 2 loads |  |
//! | [`Producer::completer`] | 1 load | cloning an `Arc` |
//! | [`Ring::ticket_from_bits`] | 1 load |  |
//! | [`Consumer::head_of_line`] | 2 loads |  |
//! | [`Ring::refusals`] | 7 loads |  |
//! | [`Canceller::cancel`] | 1 load and 2 compare-and-swaps | waking both sides |
//! | [`Ring::open`], [`Ring::open_owned`] | 2 loads and 1 compare-and-swap; after an orphan, a constant more and 4 steps for each slot | `Drop` of orphaned values |
//! | [`Producer::finish`], dropping a side | a constant; for the last side, and for a consumer that goes first, 4 steps more for each slot of the window | waking the other side; `Drop` of undelivered values and of wakers |
//! | `Consumer::next`, `Consumer::next_timeout`, `Consumer::next_deadline` | blocking: in-order delivery waits for the head |  |
//! | `Producer::wait_for_space`, `Producer::wait_for_space_many` | blocking: it waits for the consumer |  |
//! | `RingPool::complete`, `RingPool::evict`, `RingPool::ticket_from_bits`, `RingPool::is_wanted` | lock-free: it pins an epoch, and does the same as on a ring | registering the thread at its first pin; freeing memory |
//! | `RingPool::lease`, dropping the last handle of a lease | lock-free: a compare-and-swap for each attempt on one free list; 4 steps for each slot of a ring with an orphan | the allocator; `Drop` of values; freeing memory |
//! | `RingPool::trim` | lock-free: the same for each ring that it frees | `Drop` of values; freeing memory |
//! | `RingPool::usage` | 3 loads |  |
//! | `RingPool::refusals` | lock-free: it pins an epoch, and takes a constant number of loads for each entry of the pool |  |
//!
//! <!-- bounds:end -->
//!
//! An item for which the consumer does not wait costs one read-modify-write, the claim in
//! `complete`. After the split, the consumer adds a fence per half window, which lets it find a
//! producer that waits. On some machines a compare-and-swap is a loop of instructions. It is
//! counted as one access.
//!
//! On a ring that was [resumed](Ring::resume), a completion or an eviction takes 1 load more. A
//! [`Permit`] does not.
//!
//! # Memory
//!
//! * The slots are allocated once, with the ring. A slot has 8 bytes, the value, and padding.
//! * No item and no batch allocates. The first blocking wait of a thread allocates its parker. A
//!   poll with another waker than the last one allocates a wrapper.
//! * The ring contains at most `capacity` values. Each value is delivered, returned or dropped
//!   exactly once.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `std` | yes | the blocking waits: `next`, `next_timeout`, `next_deadline`, `wait_for_space` and `wait_for_space_many` |
//! | `pool` | yes | `RingPool`; includes `std` |
//! | `stream` | no | `into_stream`, with the traits of `futures-core` |
//! | `serde` | no | [`Ticket`] serialized, [`TicketBits`] and [`RingId`] serialized and deserialized |
//!
//! Without features, the crate needs `alloc` and 64-bit atomics.
//!
//! The identities of rings start from a random number with `std`. After a `fork`, the rings that
//! the child makes have other identities than the rings of the parent. A ring that the child
//! inherits keeps its identity. So parent and child accept each other's bits for that ring.
//!
//! Without `std`, identities start from the address of the program, and a child goes on with the
//! numbers of its parent. Then a ring may accept bits of a ticket from another process. Such
//! programs must not send tickets to other processes, unless each ring has an identity of its own:
//! see [`Ring::resume`].
//!
//! # Guides
//!
//! The guides are programs in the folder `examples`, with assertions.
//!
//! | for | run it with | it shows |
//! |---|---|---|
//! | a pipeline | `--example pipeline` | a thread that reads, threads that work, a thread that writes in order; a worker that fails |
//! | your own pool of threads, such as rayon's | `--example rayon_fan_out` | a producer that waits for space; which threads must not wait; a job that panics |
//! | an async service | `--features stream --example async_fan_out` | tasks on tokio and a stream of answers; a task that panics, and a task that is aborted |
//! | messages that arrive at least once | `--example message_consumer` | tickets in headers; messages that come twice, fail, or belong to an earlier run |
//! | packets with numbers of their own | `--example jitter_buffer` | packets that come early, late, twice or never; a sender that starts again |
//!
//! # When not to use it
//!
//! * If results arrive in order, or their order does not matter, use a channel.
//! * If a batch is finite and read only when it is complete, use a slice and a counter.
//! * If you need threads and streams, use the crate `reorder-executor`, which is built on this one.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | ring | slots, allocated once, for one batch after the other: [`Ring`] |
//! | batch | one ordered sequence, from [`open`](Ring::open) until both sides are dropped: [`Batch`] |
//! | position | the number of a reservation, which its ring gives once |
//! | index | a position, counted from the start of its batch |
//! | slot | the memory of one value; position `p` has the slot `p mod capacity` |
//! | generation | the number of positions that had the slot before: `p div capacity` |
//! | identity | the number that names a ring in its tickets: [`RingId`] |
//! | ticket | the right to complete or evict a position, as plain data: [`Ticket`] |
//! | permit | a ticket with one owner; if it is dropped unused, it leaves a gap: [`Permit`] |
//! | window | the positions that are reserved and not delivered, at most as many as there are slots |
//! | space | the number of positions that can be reserved now |
//! | budget | a bound of the total weight of the window: [`Budget`] |
//! | missing | reserved, and not completed |
//! | ready | completed, and not delivered |
//! | head of line | the oldest position of the window, for which all others wait: [`HeadOfLine`] |
//! | gap | a delivery without a value: [`Gap`] |
//! | orphan | a slot whose completer was writing when its batch closed |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
// Tests inside of the crate use the paths of the public interface.
#[cfg(all(test, feature = "pool", not(reorder_loom)))]
extern crate self as reorder_ring;
#[cfg(any(feature = "std", test, reorder_loom))]
extern crate std;

#[cfg(not(target_has_atomic = "64"))]
compile_error!("reorder-ring needs 64-bit atomics, which this target does not have");

// The layers from top to bottom. A module imports from its own layer and from the layers below it.
#[cfg(feature = "pool")]
mod pool;

mod batch;
mod budget;

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
/// The atomics of `reorder-executor`, which are watched, too.
#[cfg(any(reorder_loom, reorder_hooks))]
#[doc(hidden)]
pub use primitive::watched;

pub use batch::Batch;
pub use budget::Budget;
pub use consumer::canceller::Canceller;
pub use consumer::head_of_line::{HeadOfLine, HeadState};
#[cfg(feature = "stream")]
pub use consumer::stream::ConsumerStream;
pub use consumer::{Consumer, DrainReady};
pub use delivery::{Delivery, Gap};
pub use errors::{
    Busy, CapacityError, EvictIndexError, NextError, NextTimeoutError, Reason, Rejected,
    ReserveError, ReserveThroughError, SpaceError, SpaceTimeoutError, TicketError, TryNextError,
};
#[cfg(feature = "pool")]
pub use pool::{Lease, PoolUsage, RingPool};
pub use producer::Producer;
pub use producer::completer::Completer;
pub use producer::permit::Permit;
pub use ring::Ring;
pub use ring::refusals::Refusals;
pub use ring::ring_ref::RingRef;
pub use ticket::bits::{ParseTicketError, TicketBits};
pub use ticket::ring_id::{ParseRingIdError, RingId, RingIdError};
pub use ticket::{Ticket, Tickets};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
