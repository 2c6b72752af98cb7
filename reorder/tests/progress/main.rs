//! Wait-freedom, shown: how many steps each operation takes at the most, and that all operations of all
//! others finish while any one thread is stopped before any of its steps.
//!
//! A step is an access to shared memory. They need `--cfg reorder_hooks`; `ci/progress.sh` runs them.
#![cfg(all(reorder_hooks, not(reorder_loom)))]

#[allow(dead_code, reason = "others ask it more")]
#[path = "../ring/ledger.rs"]
mod ledger;

mod bounds;
mod everybody;
mod frozen;
mod steps;
