//! What the targets do with the bytes that they are given.
//!
//! `ring_ops` and `pool_ops` play operations and compare each answer with the model of the property tests;
//! `ticket_bits` looks for bits that are taken for a ticket and are none.

mod bytes;
mod home;
#[path = "../../reorder/tests/ring/ledger.rs"]
#[expect(dead_code, reason = "some of it is for tests")]
mod ledger;
#[path = "../../reorder/src/tests/property/model.rs"]
#[expect(dead_code, reason = "nobody stops in mid-write here")]
mod model;
mod player;
mod pool_ops;
mod ring_ops;
mod ticket_bits;

pub use pool_ops::pool_ops;
pub use ring_ops::ring_ops;
pub use ticket_bits::ticket_bits;

// The model finds them at the root of its crate.
use reorder_ring::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};
