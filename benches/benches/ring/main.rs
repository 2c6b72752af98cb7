//! Benches of the ring, without the executor.
#![expect(missing_docs, reason = "`criterion_group!` makes a public function")]

mod claim;
mod cycle;
mod distance;
mod hand_off;
mod pool;
mod refusal;
mod reopen;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    cycle::payloads,
    claim::operations,
    distance::distances,
    refusal::reasons,
    reopen::windows,
    pool::leases,
    pool::tickets,
    hand_off::payloads,
    hand_off::layouts
);
criterion_main!(benches);
