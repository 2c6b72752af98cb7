//! Benches of the executor, most of them beside a plain loop or another crate with the same work.
#![expect(missing_docs, reason = "`criterion_group!` makes a public function")]

mod batch_size;
mod busy;
mod callers;
mod item_cost;
mod limits;
mod work;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    item_cost::costs,
    batch_size::sizes,
    callers::numbers,
    limits::kinds,
    busy::consumers
);
criterion_main!(benches);
