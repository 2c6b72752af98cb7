//! Runs jobs on threads, and delivers the results in the order of the items. The ring does this for
//! threads of a program's own.

use std::sync::Mutex;
use std::thread;

use reorder_ring::Ring;

/// Runs `job` for each item on up to `threads` threads. Calls `deliver` on this thread with each
/// result, in the order of the items.
///
/// # Errors
///
/// Fails if the memory is too short.
pub(crate) fn in_order<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    job: impl Fn(T) -> R + Sync,
    mut deliver: impl FnMut(R),
) -> Result<(), String> {
    let ring = Ring::with_capacity(items.len().max(1)).map_err(|error| error.to_string())?;
    let mut batch = ring.open().expect("the ring is new");
    let threads = threads.min(items.len());
    let with_permit = |item| (item, batch.permit().expect("the ring has a slot for each item"));
    let work: Vec<_> = items.into_iter().map(with_permit).collect();
    let work = Mutex::new(work.into_iter());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((item, permit)) = { work.lock().expect("no panic").next() } {
                    // The ring refuses a result only after its batch has ended.
                    _ = permit.complete(job(item));
                }
            });
        }
        // A job that panics leaves a gap, and its thread passes the panic to the scope.
        while let Ok(Some(delivery)) = batch.next() {
            if let Ok(result) = delivery.outcome {
                deliver(result);
            }
        }
    });
    Ok(())
}
