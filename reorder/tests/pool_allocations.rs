//! In steady state a pool asks the allocator for nothing. A file of its own: the allocator that counts
//! is that of the whole program.
//!
//! `REORDER_STEADY_BATCHES` sets another number of batches.
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

thread_local!(static CALLS: Cell<u64> = const { Cell::new(0) });

/// Counts how often each thread asks for memory or gives some back.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call is the system allocator's; the count is a thread-local word without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: passed on to the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: passed on to the caller.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn batches() -> u64 {
    let told = std::env::var("REORDER_STEADY_BATCHES").ok();
    told.map_or(BATCHES, |batches| batches.parse().expect("a number of batches"))
}

/// Runs so many batches after a few to warm up; none may touch the allocator, on this thread.
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
    assert_eq!(calls, 0, "calls of the allocator in {batches} batches");
}

/// One test at a time, on a thread that is joined: a thread which ends leaves its registration with the
/// epochs to be freed by others.
fn alone(test: impl FnOnce() + Send) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    joined([test]);
}

/// Runs each on a thread of its own, until all of them have ended.
fn joined<F: FnOnce() + Send>(threads: impl IntoIterator<Item = F>) {
    thread::scope(|scope| {
        let threads: Vec<_> = threads.into_iter().map(|thread| scope.spawn(thread)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Takes the values of a whole window, each of which is its index.
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
    alone(|| {
        let pool = RingPool::<u64>::with_idle_limit(0);
        let before = CALLS.get();
        (0..10).for_each(|_| drop(pool.lease(ITEMS)));
        assert!(CALLS.get() - before >= 20, "the tests below would not notice");
    });
}

#[test]
fn batches_that_borrow_their_lease_allocate_nothing() {
    alone(|| {
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
    alone(|| {
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

/// Completing through the pool pins an epoch: that allocates nothing either.
#[test]
fn tickets_that_go_through_the_pool_late_or_not_allocate_nothing() {
    alone(|| {
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
    alone(|| {
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

/// Each completes its own tickets and, late, those of the other.
#[test]
fn two_threads_on_one_pool_allocate_nothing() {
    alone(|| {
        let pool = RingPool::new();
        let posts: [Mutex<Option<Ticket>>; 2] = Default::default();
        let both = Barrier::new(2);
        joined([0, 1].map(|own| {
            let (pool, posts, both) = (&pool, &posts, &both);
            move || {
                let calls = calls(batches(), |number| {
                    // Enough rings for whatever both of them do at one time.
                    if number == WARM_UP / 2 {
                        let leases = [pool.lease(ITEMS), pool.lease(ITEMS)];
                        both.wait();
                        drop(leases);
                    }
                    let lease = pool.lease(ITEMS).unwrap();
                    let mut batch = lease.open().unwrap();
                    let tickets = batch.reserve_many(ITEMS).unwrap();
                    if let Some(late) = posts[1 - own].lock().unwrap().take() {
                        assert!(pool.complete(late, u64::MAX).is_err(), "completed before");
                    }
                    for index in (0..ITEMS).rev() {
                        pool.complete(tickets.get(index).unwrap(), number + index as u64).unwrap();
                    }
                    *posts[own].lock().unwrap() = tickets.get(0);
                    take_all(&mut batch, number);
                });
                // Neither ends while the other counts.
                both.wait();
                assert_none(batches(), calls);
            }
        }));
    });
}

/// After its first wait, which makes what the thread sleeps on.
#[test]
fn a_consumer_that_waits_allocates_nothing() {
    alone(|| {
        let pool = RingPool::new();
        let (posted, changed) = (Mutex::new(None::<Tickets>), Condvar::new());
        // A wake-up is a hundred times the work of an item.
        let batches = batches() / 10;
        thread::scope(|scope| {
            let completer = scope.spawn(|| {
                assert_steady(batches, |_| {
                    let posted = posted.lock().unwrap();
                    let mut posted = changed.wait_while(posted, |post| post.is_none()).unwrap();
                    let tickets = posted.take().expect("it is there");
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
