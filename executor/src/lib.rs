//! A shared executor whose every batch comes back whole and in its own order.
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
