//! The pool through its public interface. What needs a thread stopped within a call is tested inside
//! of the crate.
#![cfg(feature = "pool")]

#[path = "../ring/ledger.rs"]
mod ledger;
#[path = "../ring/tally.rs"]
mod tally;

mod auto_traits;
mod forgotten;
mod late;
mod leases;
mod memory;
mod payloads;
mod stress;
mod traffic;
mod user_drop;
