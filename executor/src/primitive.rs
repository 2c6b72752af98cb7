//! The only place that decides between the real primitives and those of a model, on `--cfg reorder_loom` or
//! `--cfg reorder_shuttle` alone.
//!
//! Everything that a thread may wait for, or that orders two of them, takes its primitives from here. The
//! ring does the same for loom; shuttle sees its operations as single steps.

#[cfg(any(reorder_loom, reorder_hooks))]
use reorder_ring::watched as atomics;
#[cfg(all(reorder_shuttle, not(reorder_loom)))]
use shuttle::sync::atomic as atomics;
#[cfg(not(any(reorder_loom, reorder_hooks, reorder_shuttle)))]
use std::sync::atomic as atomics;

pub(crate) use atomics::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence};

#[cfg(not(any(reorder_loom, reorder_shuttle)))]
mod real;
#[cfg(not(any(reorder_loom, reorder_shuttle)))]
pub(crate) use real::*;

#[cfg(any(reorder_loom, reorder_shuttle))]
mod modelled;
#[cfg(any(reorder_loom, reorder_shuttle))]
pub(crate) use modelled::*;
