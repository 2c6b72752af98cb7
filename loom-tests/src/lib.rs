//! What the models of `reorder-ring` share: how one is explored, and payloads that keep count.
//!
//! The models are in `tests/models`, and `ci/loom.sh` runs them. Each family must notice the faults of
//! `faults/models.toml` that name its models.
//! They need `--cfg reorder_loom`; without it this crate is empty.
#![cfg(reorder_loom)]

mod explore;
mod token;
mod wakes;
mod witness;

pub use explore::explore;
pub use token::{Token, Tokens};
pub use wakes::Wakes;
pub use witness::Witness;
