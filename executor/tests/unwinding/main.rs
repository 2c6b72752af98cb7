//! Panics of jobs, sources, wakers and destructors.

#[path = "../common/mod.rs"]
mod common;

mod double_panics;
mod handle_drops;
mod panics;
mod waker_panics;
