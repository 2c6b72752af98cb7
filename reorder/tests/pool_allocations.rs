//! In steady state a pool does not use the allocator, and a pool that is dropped frees its memory.
//! These tests have their own file because the global allocator counts for the whole process.
//!
//! `REORDER_STEADY_BATCHES` sets the number of batches.
#![cfg(feature = "pool")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Barrier, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reorder_ring::{Batch, NextTimeoutError, Reason, RingPool, RingRef, Ticket, Tickets};

const ITEMS: usize = 16;
const WARM_UP: u64 = 1000;
const BATCHES: u64 = if cfg!(miri) { 100 } else { 100_000 };

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// Counts, per thread, the calls that allocate or free memory, and the bytes.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    CALLS.set(CALLS.get() + 1);
    BYTES.set(BYTES.get() + bytes);
}

// SAFETY: every call is forwarded to the system allocator. The counts are thread-local words
// without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller upholds the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller upholds the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn batches() -> u64 {
    let batches = std::env::var("REORDER_STEADY_BATCHES").ok();
    batches.map_or(BATCHES, |text| text.parse().expect("a number of batches"))
}

/// Runs `batches` batches after a warm-up, and asserts that this thread does not use the allocator.
#[track_caller]
fn assert_steady(batches: u64, batch: impl FnMut(u64)) {
    assert_none(batches, calls(batches, batch));
}

fn calls(batches: u64, mut batch: impl FnMut(u64)) -> u64 {
    (0..WARM_UP).for_each(&mut batch);
    let before = CALLS.get();
    (WARM_UP..WARM_UP + batches).for_each(&mut batch);
    CALLS.get() - before
}

#[track_caller]
fn assert_none(batches: u64, calls: u64) {
    assert_eq!(calls, 0, "{calls} calls of the allocator in {batches} batches");
}

/// Runs `test` while no other test runs, on a thread that is joined. A thread that ends leaves its
/// registration with the epochs to other threads, which would free it during their own test.
fn serial(test: impl FnOnce() + Send) {
    static SERIAL: Mutex<()> = Mutex::new(());
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    run_and_join([test]);
}

/// Runs each closure on a thread of its own, and joins all threads.
fn run_and_join<F: FnOnce() + Send>(threads: impl IntoIterator<Item = F>) {
    thread::scope(|scope| {
        let threads: Vec<_> = threads.into_iter().map(|thread| scope.spawn(thread)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Takes a full window of values: `first`, `first + 1`, and so on.
fn take_all<R: RingRef<Value = u64>>(batch: &mut Batch<R>, first: u64) {
    let mut next = 0;
    for delivery in batch.drain_ready() {
        assert_eq!((delivery.index, delivery.outcome), (next, Ok(first + next)));
        next += 1;
    }
    assert_eq!(next, ITEMS as u64);
}

#[test]
fn the_count_sees_an_allocation() {
    let before = CALLS.get();
    drop(Box::new(before));
    assert_eq!(CALLS.get() - before, 2);
}

#[test]
fn a_pool_without_idle_memory_allocates_for_each_batch() {
    serial(|| {
        let pool = RingPool::<u64>::with_idle_limit(0);
        let before = CALLS.get();
        (0..10).for_each(|_| drop(pool.lease(ITEMS)));
        assert!(CALLS.get() - before >= 20, "the count would not notice an allocation");
    });
}

/// Two threads begin to use each pool at once. Sometimes both allocate the same part of its table.
#[test]
fn pools_that_are_dropped_free_their_memory() {
    const POOLS: usize = if cfg!(miri) { 10 } else { 2000 };
    serial(|| {
        let before = BYTES.get();
        let pools: Vec<_> = (0..POOLS).map(|_| RingPool::<u64>::new()).collect();
        let made = BYTES.get() - before;
        let both = Barrier::new(2);
        let use_all = || {
            let before = BYTES.get();
            for pool in &pools {
                both.wait();
                drop(pool.lease(ITEMS).unwrap());
            }
            BYTES.get() - before
        };
        let used = thread::scope(|scope| {
            let threads = [scope.spawn(use_all), scope.spawn(use_all)];
            threads.map(|thread| thread.join().unwrap()).iter().sum::<isize>()
        });
        assert!(used > (POOLS * ITEMS * size_of::<u64>()) as isize, "{used} bytes");
        let before = BYTES.get();
        drop(pools);
        assert_eq!(before - BYTES.get(), made + used, "bytes that are freed");
    });
}

#[test]
fn batches_that_borrow_their_lease_allocate_nothing() {
    serial(|| {
        let pool = RingPool::new();
        assert_steady(batches(), |number| {
            let lease = pool.lease(ITEMS).unwrap();
            let mut batch = lease.open().unwrap();
            let tickets = batch.reserve_many(ITEMS).unwrap();
            for index in (0..ITEMS).rev() {
                lease.complete(tickets.get(index).unwrap(), number + index as u64).unwrap();
            }
            take_all(&mut batch, number);
        });
    });
}

#[test]
fn batches_that_own_their_lease_and_permits_allocate_nothing() {
    serial(|| {
        let pool = RingPool::new();
        assert_steady(batches(), |number| {
            let mut batch = pool.lease(ITEMS).unwrap().open_owned().unwrap();
            let mut permits: [_; ITEMS] = std::array::from_fn(|_| batch.permit().ok());
            for (index, permit) in permits.iter_mut().enumerate().rev() {
                permit.take().unwrap().complete(number + index as u64).unwrap();
            }
            take_all(&mut batch, number);
        });
    });
}

/// A completion through the pool pins an epoch, which must not allocate either.
#[test]
fn completions_through_the_pool_allocate_nothing_late_or_not() {
    serial(|| {
        let pool = RingPool::new();
        let mut kept: Option<Ticket> = None;
        assert_steady(batches(), |number| {
            let lease = pool.lease(ITEMS).unwrap();
            let mut batch = lease.open().unwrap();
            let tickets = batch.reserve_many(ITEMS).unwrap();
            if let Some(late) = kept.replace(tickets.get(number as usize % ITEMS).unwrap()) {
                assert_eq!(pool.ticket_from_bits(late.to_bits()), Ok(late));
                assert_eq!(pool.complete(late, 0).unwrap_err().reason, Reason::Stale);
                assert_eq!(pool.evict(late), Err(Reason::Stale));
            }
            for index in (0..ITEMS).rev() {
                pool.complete(tickets.get(index).unwrap(), number + index as u64).unwrap();
            }
            take_all(&mut batch, number);
        });
    });
}

#[test]
fn batches_of_mixed_sizes_allocate_nothing() {
    serial(|| {
        let pool = RingPool::new();
        assert_steady(batches() / 4, |number| {
            let leases = [1, ITEMS, 100, 1 << (number % 13)].map(|size| pool.lease(size).unwrap());
            for lease in &leases {
                let mut batch = lease.open().unwrap();
                pool.complete(batch.reserve().unwrap(), number).unwrap();
                assert_eq!(batch.try_next().unwrap().outcome, Ok(number));
            }
        });
    });
}

/// Each thread completes its own tickets and, late, one ticket of each batch of the other thread.
#[test]
fn two_threads_on_one_pool_allocate_nothing() {
    serial(|| {
        let pool = RingPool::new();
        let late_tickets: [Mutex<Option<Ticket>>; 2] = Default::default();
        let both = Barrier::new(2);
        run_and_join([0, 1].map(|own| {
            let (pool, late_tickets, both) = (&pool, &late_tickets, &both);
            move || {
                let calls = calls(batches(), |number| {
                    // The pool has two rings after this: enough for both threads at any time.
                    if number == WARM_UP / 2 {
                        let leases = [pool.lease(ITEMS), pool.lease(ITEMS)];
                        both.wait();
                        drop(leases);
                    }
                    let lease = pool.lease(ITEMS).unwrap();
                    let mut batch = lease.open().unwrap();
                    let tickets = batch.reserve_many(ITEMS).unwrap();
                    if let Some(late) = late_tickets[1 - own].lock().unwrap().take() {
                        assert!(
                            pool.complete(late, u64::MAX).is_err(),
                            "a late ticket was accepted"
                        );
                    }
                    for index in (0..ITEMS).rev() {
                        pool.complete(tickets.get(index).unwrap(), number + index as u64).unwrap();
                    }
                    *late_tickets[own].lock().unwrap() = tickets.get(0);
                    take_all(&mut batch, number);
                });
                // Neither thread ends while the other still counts.
                both.wait();
                assert_none(batches(), calls);
            }
        }));
    });
}

/// The first wait of a thread allocates its parker. Later waits allocate nothing.
#[test]
fn a_consumer_that_waits_allocates_nothing() {
    serial(|| {
        let pool = RingPool::new();
        let (posted, changed) = (Mutex::new(None::<Tickets>), Condvar::new());
        // A wake-up costs about a hundred times as much as an item.
        let batches = batches() / 10;
        thread::scope(|scope| {
            let completer = scope.spawn(|| {
                assert_steady(batches, |_| {
                    let posted = posted.lock().unwrap();
                    let mut posted = changed.wait_while(posted, |posted| posted.is_none()).unwrap();
                    let tickets = posted.take().expect("tickets were posted");
                    drop(posted);
                    for index in (0..ITEMS).rev() {
                        pool.complete(tickets.get(index).unwrap(), index as u64).unwrap();
                    }
                });
            });
            assert_steady(batches, |number| {
                let lease = pool.lease(ITEMS).unwrap();
                let (mut producer, mut consumer) = lease.open().unwrap().split();
                if number == 0 {
                    let first_wait = consumer.next_timeout(Duration::from_millis(1));
                    assert_eq!(first_wait, Err(NextTimeoutError::Timeout));
                }
                *posted.lock().unwrap() = Some(producer.reserve_many(ITEMS).unwrap());
                changed.notify_one();
                producer.finish();
                for index in 0..ITEMS as u64 {
                    assert_eq!(consumer.next().unwrap().map(|next| next.outcome), Some(Ok(index)));
                }
                assert_eq!(consumer.next(), Ok(None));
            });
            completer.join().unwrap();
        });
    });
}
