//! A budget of bytes bounds the memory of a stream, whatever the sizes of its results.

#[path = "common/counting_bytes.rs"]
mod counting_bytes;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

use counting_bytes::bytes;
use reorder_executor::Executor;

const BUDGET: usize = 64 << 20;
const LARGEST: usize = 10_000_000;

#[test]
fn the_peak_of_the_memory_is_within_a_twentieth_of_the_budget() {
    let executor = Executor::builder().workers(3).window(1024).build().unwrap();
    // 100 B to 10 MB: small items are as frequent as large ones.
    let sizes = (0..4000_u32).map(|n| {
        let magnitude = f64::from(n.wrapping_mul(0x9e37_79b9) >> 8) / f64::from(1 << 24);
        (100.0 * 1e5_f64.powf(magnitude)) as usize
    });
    let (before, peak) = (bytes(), Arc::new(AtomicIsize::new(0)));
    let highest = Arc::clone(&peak);
    let batch = executor.batch(sizes).weight(BUDGET as u64, |&size| size as u64);
    let buffers = batch.stream(move |size, _| {
        let buffer = Vec::<u8>::with_capacity(size);
        highest.fetch_max(bytes() - before, SeqCst);
        Ok::<_, Infallible>(buffer)
    });
    let mut total = 0;
    for buffer in buffers.unwrap() {
        total += buffer.unwrap().capacity();
    }
    let peak = peak.load(SeqCst) as usize;
    assert!(total > 20 * BUDGET, "{total} bytes in all");
    // The consumer has taken one more, and drops it.
    let most = BUDGET + LARGEST;
    assert!(peak <= most + BUDGET / 20, "{peak} bytes, of at most {most}");
    assert!(peak >= BUDGET - BUDGET / 4, "{peak} bytes: the budget is used");
}
