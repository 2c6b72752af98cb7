//! Calls that return all of their results: `map` and its forms, batches, and scopes.

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod expensive_items;
mod isolation;
mod map_indexed;
mod map_init;
mod ordered_map;
mod scoped_batches;
mod scopes;
mod sources;
mod submit;
mod thread_states;
mod try_map;
mod two_executors;
