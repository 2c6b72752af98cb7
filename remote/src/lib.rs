//! Ordered completion over many machines.
//!
//! An owner sends the items of a source to workers, by an engine that stores messages. It gets the
//! results in the order of the items, each once. Messages may be lost, doubled, delayed and
//! swapped. Workers and the owner may die at any step. The engine may forget all that it stores.

#[cfg(test)]
mod tests;
#[allow(dead_code, unused_imports, reason = "the state machines follow")]
mod wire;

pub use wire::WireError;
