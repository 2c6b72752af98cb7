//! The messages between the owner and the workers, as bytes.
//!
//! ```text
//!  0      2         3      4        8          12
//! +------+---------+------+--------+----------+------------------------------+
//! | "rR" | version | kind | length | checksum | identity of the ring, items  |
//! +------+---------+------+--------+----------+------------------------------+
//! ```
//!
//! | kind | body after the identity of the ring | module |
//! |---|---|---|
//! | tasks | for each item: position, attempt, payload | `tasks` |
//! | results | the number of the worker; for each item: position, attempt, outcome | `results` |
//! | record | epoch, instance, number of committed results, `released` | `record` |
//!
//! * `length` is the number of bytes of the whole message. The checksum is the CRC-32 of all other
//!   bytes. It notices every change of up to 32 neighbouring bits.
//! * The first 12 bytes are the same in every version. So a reader distinguishes a damaged message
//!   from a message of an unknown version.
//! * Numbers of fixed size have the lowest byte first. The numbers of items take 7 bits per byte.
//! * A message of several items belongs to one ring. Its payloads share the memory of the message.

mod error;
mod fields;
mod frame;
mod record;
mod results;
mod tasks;

pub use error::WireError;
pub(crate) use frame::VERSION;
pub(crate) use record::{Record, Token};
pub(crate) use results::{Outcome, ResultItem, Results, ResultsWriter, largest_value};
#[cfg(test)]
pub(crate) use tasks::TaskItem;
pub(crate) use tasks::{Tasks, TasksWriter, largest_task};
