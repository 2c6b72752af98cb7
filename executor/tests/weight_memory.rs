//! A budget of bytes bounds the memory of a stream, whatever the sizes of its results.

#[path = "common/counting_bytes.rs"]
mod counting_bytes;

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

use counting_bytes::bytes;
use reorder_executor::{Executor, Ordered};

const BUDGET: usize = 64 << 20;
const LARGEST: usize = 10_000_000;

/// Returns sizes from 100 B to 10 MB. Small items are as frequent as large ones.
fn sizes() -> impl Iterator<Item = usize> + Send + 'static {
    (0..4000_u32).map(|n| {
        let magnitude = f64::from(n.wrapping_mul(0x9e37_79b9) >> 8) / f64::from(1 << 24);
        (100.0 * 1e5_f64.powf(magnitude)) as usize
    })
}

/// Runs 4000 items within the budget, and lets `take` take their buffers. Returns the peak of the
/// memory.
fn peak(take: fn(&mut Ordered<'static, Vec<u8>>) -> Option<usize>) -> usize {
    let executor = Executor::builder().workers(3).window(1024).build().unwrap();
    let (before, peak) = (bytes(), Arc::new(AtomicIsize::new(0)));
    let highest = Arc::clone(&peak);
    let batch = executor.batch(sizes()).weight(BUDGET as u64, |&size| size as u64);
    let buffers = batch.stream(move |size, _| {
        let buffer = Vec::<u8>::with_capacity(size);
        highest.fetch_max(bytes() - before, SeqCst);
        Ok::<_, Infallible>(buffer)
    });
    let mut buffers = buffers.unwrap();
    let mut total = 0;
    while let Some(size) = take(&mut buffers) {
        total += size;
    }
    assert!(total > 20 * BUDGET, "{total} bytes in all");
    let peak = peak.load(SeqCst) as usize;
    assert!(peak >= BUDGET - BUDGET / 4, "{peak} bytes: the budget is used");
    peak
}

#[test]
fn the_peak_of_the_memory_is_within_a_twentieth_of_the_budget() {
    let taken = peak(|buffers| {
        let buffer = buffers.next()?.unwrap();
        Some(buffer.capacity())
    });
    // The consumer has taken one more, and drops it.
    let most = BUDGET + LARGEST;
    assert!(taken <= most + BUDGET / 20, "{taken} bytes, of at most {most}");
    let emptied = peak(|buffers| {
        let buffer = buffers.peek_mut()?.as_mut().map(mem::take).unwrap();
        let size = buffer.capacity();
        drop(buffer);
        buffers.next();
        Some(size)
    });
    assert!(emptied <= BUDGET + BUDGET / 20, "{emptied} bytes, of at most {BUDGET}");
}
