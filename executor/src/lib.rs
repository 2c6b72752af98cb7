//! A shared executor whose every batch comes back whole and in its own order.
//!
//! Any number of threads call one [`Executor`] at once, also from inside its own jobs. Each call is
//! a batch with a reorder ring of its own, so results cannot mix, and no batch waits for another.
//!
//! | call | input | results |
//! |---|---|---|
//! | [`map`](Executor::map) | known, may borrow | a `Vec` of values; the first panic is resumed |
//! | [`execute_batch`](Executor::execute_batch) | known, may borrow | an [`Outcome`] for each item |
//! | [`stream`](Executor::stream) | lazy, may be endless, `'static` | an iterator of outcomes, in order, within a window |
//! | [`Scope::stream`] | lazy, may be endless, may borrow | the same, inside [`scope`](Executor::scope) |
//!
//! A job that panics gives its item a [`Failure`] and nothing else; workers live on. The caller of
//! a batch helps with that batch and with no other, so nested calls work even with one worker.
//!
//! # When not to use it
//!
//! Work whose results may come in any order wants a channel or a work-stealing pool. Futures want a
//! runtime: a job blocks the worker that runs it.

mod builder;
mod executor;
mod failure;
mod hub;
mod in_place;
mod lend;
mod ordered;
mod park;
mod plain;
mod report;
mod scope;
mod shares;
mod stream;
mod work;
mod worker;

pub use builder::{BuildError, Builder};
pub use executor::Executor;
pub use failure::{Failure, Outcome, Panic};
pub use ordered::Ordered;
pub use report::BatchReport;
pub use scope::Scope;

/// The README's examples are tested with this crate, which sees both.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
