//! The functions of the fuzz targets, which get the input bytes.
//!
//! * `ring_ops` and `pool_ops` run operations and compare each answer with the model of the
//!   property tests.
//! * `ticket_bits` searches for bits that a ring accepts although it has issued no such ticket.

mod bytes;
mod completer;
#[path = "../../reorder/tests/ring/drop_counter.rs"]
#[expect(dead_code, reason = "some functions are for tests")]
mod drop_counter;
mod harness;
#[path = "../../reorder/src/tests/property/model.rs"]
#[expect(dead_code, reason = "no completer stops while it writes here")]
mod model;
mod pool_ops;
mod ring_ops;
mod ticket_bits;

pub use pool_ops::pool_ops;
pub use ring_ops::ring_ops;
pub use ticket_bits::ticket_bits;

// The model imports these types from the root of the crate.
use reorder_ring::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};
