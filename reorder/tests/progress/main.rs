//! Tests of wait-freedom. `steps` checks the bound on the steps of each operation.
//! `stopped_thread` checks that all other threads finish while one thread is stopped.
//!
//! A step is an access to shared memory. These tests need `--cfg reorder_hooks`, and
//! `ci/progress.sh` runs them.
#![cfg(all(reorder_hooks, not(reorder_loom)))]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../ring/drop_counter.rs"]
mod drop_counter;

mod bounds;
mod steps;
mod stopped_thread;
mod world;
