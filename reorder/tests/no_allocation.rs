//! Hot operations neither allocate nor free memory: here the process aborts if they do. These tests
//! have their own file because the global allocator serves the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::{Command, abort};
use std::sync::mpsc;
use std::task::Waker;
use std::thread;

use reorder_ring::{Gap, Reason, ReserveError, Ring, Ticket, TryNextError};

thread_local!(static FORBIDDEN: Cell<bool> = const { Cell::new(false) });

/// Aborts the process if a thread uses it while `FORBIDDEN` is set.
struct AbortingAllocator;

#[global_allocator]
static ALLOCATOR: AbortingAllocator = AbortingAllocator;

fn check() {
    if FORBIDDEN.get() {
        abort();
    }
}

// SAFETY: every call is forwarded to the system allocator, or ends the process.
unsafe impl GlobalAlloc for AbortingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        check();
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Runs `f`. The process aborts if this thread uses the allocator meanwhile.
fn strict<R>(f: impl FnOnce() -> R) -> R {
    FORBIDDEN.set(true);
    let result = f();
    FORBIDDEN.set(false);
    result
}

type Value = Box<u32>;

#[test]
fn no_result_of_a_hot_operation_uses_the_allocator() {
    let ring = Ring::<Value>::with_capacity(4).unwrap();
    for _ in 0..3 {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        assert_eq!(strict(|| consumer.try_next()), Err(TryNextError::Pending));
        let first = strict(|| producer.reserve()).unwrap();
        let mut rest = strict(|| producer.reserve_many(3)).unwrap();
        assert_eq!(strict(|| producer.reserve()), Err(ReserveError::Full));
        let (second, third) = (rest.next().unwrap(), rest.next().unwrap());

        let (value, other) = (Box::new(1), Box::new(2));
        strict(|| ring.complete(first, value)).unwrap();
        let refused = strict(|| ring.complete(first, other)).unwrap_err();
        assert_eq!(refused.reason, Reason::Duplicate);
        strict(|| ring.evict(second)).unwrap();
        assert_eq!(strict(|| ring.evict(second)), Err(Reason::Evicted));
        assert_eq!(strict(|| ring.ticket_from_bits(third.to_bits())), Ok(third));

        assert_eq!(strict(|| consumer.try_next()).unwrap().outcome, Ok(Box::new(1)));
        assert_eq!(strict(|| consumer.try_next()).unwrap().outcome, Err(Gap::Evicted));
        assert_eq!(strict(|| consumer.evict_head()), Ok(()));
        assert_eq!(strict(|| consumer.drain_ready().count()), 1);

        let (permit, value) = (strict(|| producer.permit()).unwrap(), Box::new(3));
        strict(|| permit.complete(value)).unwrap();
        let permit = strict(|| producer.permit()).unwrap();
        strict(|| drop(permit));
        let (completer, value) = (strict(|| producer.completer()), Box::new(4));
        strict(|| producer.reserve_through(6)).unwrap();
        strict(|| completer.complete_index(6, value)).unwrap();
        strict(|| producer.finish());
        assert_eq!(strict(|| consumer.head_of_line()).reserved, 4);
    }
}

/// The completion calls the consumer's waker and drops it. The waker of this test does nothing.
#[test]
fn completion_of_a_waited_head_does_not_use_the_allocator() {
    let ring = Ring::<Value>::with_capacity(1).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut context = std::task::Context::from_waker(Waker::noop());
    for number in 0..3 {
        let (ticket, value) = (producer.reserve().unwrap(), Box::new(number));
        assert!(consumer.poll_next(&mut context).is_pending());
        strict(|| ring.complete(ticket, value)).unwrap();
        assert_eq!(strict(|| consumer.try_next()).unwrap().outcome, Ok(Box::new(number)));
    }
}

#[test]
fn concurrent_completions_of_one_position_do_not_use_the_allocator() {
    let ring = Ring::<Value>::with_capacity(8).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    thread::scope(|scope| {
        let ring = &ring;
        let (completers, refused): (Vec<mpsc::Sender<Ticket>>, Vec<_>) = (0..2)
            .map(|_| {
                let (tickets, received) = mpsc::channel();
                let refused = scope.spawn(move || {
                    let complete = |ticket| {
                        let value = Box::new(7);
                        // A refused value is dropped after `strict` has returned.
                        strict(|| ring.complete(ticket, value))
                    };
                    received.into_iter().filter(|&ticket| complete(ticket).is_err()).count()
                });
                (tickets, refused)
            })
            .unzip();
        let mut delivered = 0;
        while delivered < 2000 {
            if let Ok(ticket) = strict(|| producer.reserve()) {
                completers.iter().for_each(|completer| completer.send(ticket).unwrap());
            }
            match strict(|| consumer.try_next()) {
                Ok(delivery) => {
                    assert_eq!(delivery.outcome, Ok(Box::new(7)));
                    delivered += 1;
                }
                Err(_) => thread::yield_now(),
            }
        }
        drop(completers);
        let refused: usize = refused.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(refused >= 2000, "one of two completions of each position is refused: {refused}");
    });
}

/// Starts a process that uses the allocator inside `strict`. That process must abort.
#[test]
fn the_allocator_aborts_inside_strict() {
    const SEED: &str = "REORDER_SEED_ALLOCATION";
    if std::env::var_os(SEED).is_some() {
        strict(|| drop(Box::new(1)));
        return;
    }
    let mut seeded = Command::new(std::env::current_exe().unwrap());
    seeded.args(["--exact", "the_allocator_aborts_inside_strict"]).env(SEED, "1");
    let status = seeded.output().unwrap().status;
    assert!(!status.success(), "the allocation was not noticed: {status}");
}
