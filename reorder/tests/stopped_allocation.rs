//! A thread is stopped in an allocation of its lease. Other threads do not wait for it. What they
//! made meanwhile is used, and the thread frees its own.
#![cfg(all(feature = "pool", not(miri)))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::abort;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::SeqCst};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reorder_ring::RingPool;

/// The largest number of allocations of the calls in `use_pool`.
const ALLOCATIONS: u32 = 40;

/// Returns `true` for an allocation that is meant.
type Choice = fn(Layout) -> bool;

thread_local! {
    /// The number of allocations until this thread stops. 0 means never.
    static STOP_AFTER: Cell<u32> = const { Cell::new(0) };
    /// The next allocation for which it returns `true` stops this thread.
    static STOP_AT: Cell<Option<Choice>> = const { Cell::new(None) };
}

/// The memory of the allocation that `STOP_AT` has chosen, until it is freed.
static ALLOCATED: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

static IS_STOPPED: AtomicBool = AtomicBool::new(false);
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

struct Stopping;

#[global_allocator]
static ALLOCATOR: Stopping = Stopping;

fn stop_if_it_is_time() {
    let left = STOP_AFTER.get();
    STOP_AFTER.set(left.saturating_sub(1));
    if left == 1 {
        stop();
    }
}

fn stop() {
    IS_STOPPED.store(true, SeqCst);
    while !MAY_GO_ON.load(SeqCst) {
        thread::yield_now();
    }
}

/// Notes memory that was allocated, and stops if `STOP_AT` has chosen it.
fn note(memory: *mut u8, layout: Layout) -> *mut u8 {
    if STOP_AT.get().is_some_and(|is_meant| is_meant(layout)) {
        STOP_AT.set(None);
        ALLOCATED.store(memory, SeqCst);
        stop();
    }
    memory
}

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Stopping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stop_if_it_is_time();
        // SAFETY: the caller upholds the contract of `alloc`.
        note(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        stop_if_it_is_time();
        // SAFETY: the caller upholds the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        _ = ALLOCATED.compare_exchange(memory, ptr::null_mut(), SeqCst, SeqCst);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Excludes the other tests, and stops a thread while it makes the collector. Only the first call
/// into a pool does so in a process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&COLLECTOR_IS_FREED);
    alone
}

/// `true` if the slower one of two threads that make the collector frees its own.
static COLLECTOR_IS_FREED: LazyLock<bool> = LazyLock::new(|| {
    let pool = RingPool::<u64>::new();
    let lease = pool.lease(1).unwrap();
    let ticket = lease.open().unwrap().reserve().unwrap();
    // The collector keeps its words apart by cache lines.
    slower_thread_frees(|layout| layout.align() >= 32, || assert!(!pool.is_wanted(ticket)))
});

/// Stops a thread in an allocation, and runs `f` meanwhile. The thread runs `f`, too. Returns
/// `true` if it has freed the memory at its end.
fn slower_thread_frees(is_meant: Choice, f: impl Fn() + Sync) -> bool {
    IS_STOPPED.store(false, SeqCst);
    MAY_GO_ON.store(false, SeqCst);
    thread::scope(|scope| {
        let slower = scope.spawn(|| {
            STOP_AT.set(Some(is_meant));
            f();
            STOP_AT.set(None);
        });
        while !IS_STOPPED.load(SeqCst) && !slower.is_finished() {
            thread::yield_now();
        }
        assert!(IS_STOPPED.load(SeqCst), "there is no such allocation");
        f();
        MAY_GO_ON.store(true, SeqCst);
    });
    ALLOCATED.load(SeqCst).is_null()
}

#[test]
fn the_slower_one_of_two_threads_frees_its_collector() {
    let _alone = alone();
    assert!(*COLLECTOR_IS_FREED);
}

#[test]
fn the_slower_one_of_two_threads_frees_its_segment_of_the_table() {
    let _alone = alone();
    let pool = RingPool::<u64>::new();
    // The first allocation of this size is the segment.
    assert!(slower_thread_frees(|layout| layout.size() >= 512, || drop(pool.lease(1).unwrap())));
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
    let _alone = alone();
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
