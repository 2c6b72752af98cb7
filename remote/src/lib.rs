//! Ordered completion over many machines.
//!
//! An owner sends the items of a source to workers, by an engine that stores messages. It gets the
//! results in the order of the items, each once. Messages may be lost, doubled, delayed and
//! swapped. Workers and the owner may die at any step. The engine may forget all that it stores.
//!
//! [`Link`] says what an engine must give. [`InProcess`] is a link for tests and examples.

mod gap;
mod in_process;
mod link;
#[allow(dead_code, unused_imports, reason = "the drivers follow")]
mod machine;
mod stats;
#[cfg(test)]
mod tests;
#[allow(dead_code, unused_imports, reason = "the drivers follow")]
mod wire;

pub use gap::Gap;
pub use in_process::{Faults, InProcess, Receipt};
pub use link::{Acknowledgement, Channel, Entry, Link, LinkError, Message, MessageId};
pub use stats::{OwnerStats, Refused, WorkerStats};
pub use wire::WireError;
