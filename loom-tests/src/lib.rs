//! Helpers for the models of both crates: the exploration of a model, counted payloads, counted
//! wake-ups and plain flags.
//!
//! The models are in `tests/models`, and `ci/loom.sh` runs them. Each family must notice the faults
//! of `faults/models.toml` that name its models. The models need `--cfg reorder_loom`. Without it
//! this crate is empty. The random schedules of the executor are in `tests/schedules`. They need
//! `--cfg reorder_shuttle`. A simulated machine, which counts cache lines, is in `tests/lines`.
#![cfg(reorder_loom)]

mod explore;
mod plain_flag;
mod token;
mod wake_counter;

pub use explore::explore;
pub use plain_flag::PlainFlag;
pub use token::{Token, Tokens};
pub use wake_counter::WakeCounter;
