//! A thread is stopped in an allocation of its lease. Other threads do not wait for it.
#![cfg(all(feature = "pool", not(miri)))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::abort;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use reorder_ring::RingPool;

/// The largest number of allocations of the calls in `use_pool`.
const ALLOCATIONS: u32 = 40;

thread_local! {
    /// The number of allocations until this thread stops. 0 means never.
    static STOP_AFTER: Cell<u32> = const { Cell::new(0) };
}

static IS_STOPPED: AtomicBool = AtomicBool::new(false);
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

struct Stopping;

#[global_allocator]
static ALLOCATOR: Stopping = Stopping;

fn stop_if_it_is_time() {
    let left = STOP_AFTER.get();
    STOP_AFTER.set(left.saturating_sub(1));
    if left == 1 {
        IS_STOPPED.store(true, SeqCst);
        while !MAY_GO_ON.load(SeqCst) {
            thread::yield_now();
        }
    }
}

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Stopping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stop_if_it_is_time();
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        stop_if_it_is_time();
        // SAFETY: the caller upholds the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Makes a ring, frees it, and uses a late ticket.
fn use_pool(pool: &RingPool<u64>) {
    let lease = pool.lease(1).unwrap();
    let ticket = lease.open().unwrap().reserve().unwrap();
    assert!(pool.complete(ticket, 7).is_err());
    drop(lease);
    pool.trim(0);
}

#[test]
fn a_lease_does_not_wait_for_the_allocation_of_another() {
    let start = Instant::now();
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            while !is_over.load(SeqCst) {
                if start.elapsed() > Duration::from_secs(60) {
                    eprintln!("a lease waits for a thread that is stopped in an allocation");
                    abort();
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut stops = 0;
        for nth in 1..=ALLOCATIONS {
            let pool = &RingPool::new();
            IS_STOPPED.store(false, SeqCst);
            MAY_GO_ON.store(false, SeqCst);
            thread::scope(|scope| {
                let stopping = scope.spawn(move || {
                    STOP_AFTER.set(nth);
                    use_pool(pool);
                    STOP_AFTER.set(0);
                });
                while !IS_STOPPED.load(SeqCst) && !stopping.is_finished() {
                    thread::yield_now();
                }
                stops += u32::from(IS_STOPPED.load(SeqCst));
                use_pool(pool);
                MAY_GO_ON.store(true, SeqCst);
            });
        }
        is_over.store(true, SeqCst);
        assert!((4..ALLOCATIONS).contains(&stops), "{stops} allocations were stopped");
    });
}
