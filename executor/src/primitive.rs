//! The only place that decides between the real primitives and loom's, on `--cfg reorder_loom` alone.
//!
//! What has a protocol of its own takes its primitives from here, so that it can be modelled: the hub with
//! its workers, and the gate of borrowed work.

#[cfg(not(reorder_loom))]
mod real;
#[cfg(not(reorder_loom))]
pub(crate) use real::*;

#[cfg(reorder_loom)]
mod modelled;
#[cfg(reorder_loom)]
pub(crate) use modelled::*;
