//! Tests of the pool through its public interface. The tests inside the crate stop a thread within
//! a call.
#![cfg(feature = "pool")]

#[path = "../ring/drop_counter.rs"]
mod drop_counter;
#[path = "../ring/values.rs"]
mod values;
#[path = "../ring/wake_counter.rs"]
mod wake_counter;

mod auto_traits;
mod forgotten_handles;
mod late_tickets;
mod leases;
mod memory;
mod payloads;
mod stress;
mod traffic;
mod user_drop;
