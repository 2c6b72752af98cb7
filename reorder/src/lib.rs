//! A wait-free, batch-scoped reorder ring.
//!
//! Many workers finish numbered work in any order; one consumer must see the results in order,
//! each exactly once, and never a result that belongs to another batch. A [`Ring`] does that with
//! one atomic read-modify-write per item and no lock.
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(not(target_has_atomic = "64"))]
compile_error!("reorder-ring needs 64-bit atomics, which this target does not have");

mod batch;
mod canceller;
mod close;
mod consumer;
mod delivery;
mod errors;
mod head_of_line;
mod identity;
mod lease;
mod permit;
mod primitive;
mod producer;
mod ring;
mod ring_ref;
mod slot;
mod tag;
mod tail;
#[cfg(all(test, not(reorder_loom)))]
mod tests;
mod ticket;
#[cfg(feature = "std")]
mod wait;

pub use batch::Batch;
pub use canceller::Canceller;
pub use consumer::{Consumer, DrainReady};
pub use delivery::{Delivery, Gap};
pub use errors::{
    Busy, CapacityError, NextError, NextTimeoutError, Reason, Rejected, ReserveError, TicketError,
    TryNextError,
};
pub use head_of_line::{HeadOfLine, HeadState};
pub use permit::Permit;
pub use producer::Producer;
pub use ring::Ring;
pub use ring_ref::RingRef;
pub use ticket::{Ticket, Tickets};
