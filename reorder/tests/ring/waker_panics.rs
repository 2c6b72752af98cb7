//! Wakers that panic: only the wait in which the panic occurs is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::drop_counter::DropCounter;
use reorder_ring::Ring;

/// Controls which calls of a waker panic, and counts its wakes.
#[derive(Default)]
struct Control {
    clone_panics: AtomicBool,
    drop_panics: AtomicBool,
    wake_panics: AtomicBool,
    wakes: AtomicUsize,
}

impl Control {
    fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table honour the contract of `RawWaker`: the data is a
        // `&'static Control`, which is `Sync`, and there is nothing to release.
        unsafe { Waker::new(std::ptr::from_ref(self).cast(), &TABLE) }
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// `data` must be the data of a waker from [`Control::waker`].
unsafe fn control(data: *const ()) -> &'static Control {
    // SAFETY: by the contract of this function, `data` points to a `Control`.
    unsafe { &*data.cast::<Control>() }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: only `Control::waker` makes wakers with this table.
    assert!(!unsafe { control(data) }.clone_panics.swap(false, Ordering::SeqCst), "clone");
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the data is passed on unchanged.
    unsafe { wake_by_ref(data) };
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: only `Control::waker` makes wakers with this table.
    let control = unsafe { control(data) };
    control.wakes.fetch_add(1, Ordering::SeqCst);
    assert!(!control.wake_panics.swap(false, Ordering::SeqCst), "wake");
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: only `Control::waker` makes wakers with this table.
    assert!(!unsafe { control(data) }.drop_panics.swap(false, Ordering::SeqCst), "drop");
}

/// Returns a control that is never dropped, since a waker of it may be leaked, too.
fn leaked_control() -> &'static Control {
    // Leak detectors do not report memory that a static refers to.
    static ALL: Mutex<Vec<&'static Control>> = Mutex::new(Vec::new());
    let control = Box::leak(Box::default());
    ALL.lock().unwrap().push(control);
    control
}

/// Asserts that a completion wakes a consumer that waits with a waker of `control`.
fn assert_wakes(ring: &Ring<u32>, control: &'static Control) {
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let waker = control.waker();
    let before = control.wakes();
    assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    ring.complete(ticket, 7).unwrap();
    assert_eq!(control.wakes(), before + 1);
    let Poll::Ready(Ok(Some(delivery))) = consumer.poll_next(&mut Context::from_waker(&waker))
    else {
        panic!("the position was completed")
    };
    assert_eq!(delivery.outcome, Ok(7));
}

#[test]
fn a_clone_that_panics_leaves_the_ring_able_to_wake() {
    let ring = Ring::with_capacity(1).unwrap();
    let control = leaked_control();
    {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let waker = control.waker();
        control.clone_panics.store(true, Ordering::SeqCst);
        let poll = AssertUnwindSafe(|| consumer.poll_next(&mut Context::from_waker(&waker)));
        catch_unwind(poll).expect_err("the clone panics");
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
        ring.complete(ticket, 7).unwrap();
        assert_eq!(control.wakes(), 1, "the next poll of the same wait was not woken");
    }
    assert_wakes(&ring, control);
}

#[test]
fn a_replaced_waker_whose_drop_panics_leaves_the_ring_able_to_wake() {
    let ring = Ring::with_capacity(1).unwrap();
    let (replaced, control) = (leaked_control(), leaked_control());
    {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (first, second) = (replaced.waker(), control.waker());
        assert!(consumer.poll_next(&mut Context::from_waker(&first)).is_pending());
        std::mem::forget(first);
        replaced.drop_panics.store(true, Ordering::SeqCst);
        let poll = AssertUnwindSafe(|| consumer.poll_next(&mut Context::from_waker(&second)));
        catch_unwind(poll).expect_err("the drop of the replaced waker panics");
        assert!(consumer.poll_next(&mut Context::from_waker(&second)).is_pending());
        ring.complete(ticket, 7).unwrap();
        assert_eq!(control.wakes(), 1);
    }
    assert_wakes(&ring, control);
}

#[test]
fn a_waker_left_behind_whose_drop_panics_leaves_the_ring_usable() {
    let ring = Ring::with_capacity(1).unwrap();
    let control = leaked_control();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    _ = producer.reserve().unwrap();
    let waker = control.waker();
    assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    std::mem::forget(waker);
    control.drop_panics.store(true, Ordering::SeqCst);
    let leave = AssertUnwindSafe(|| drop((producer, consumer)));
    catch_unwind(leave).expect_err("the last drop of the waker panics");
    assert_wakes(&ring, leaked_control());
}

#[test]
fn a_wake_that_panics_does_not_keep_the_other_side_asleep() {
    let ring = Ring::<u8>::with_capacity(1).unwrap();
    let (consuming, producing) = (leaked_control(), leaked_control());
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let _never_completed = producer.reserve().unwrap();
    let (consumer_waker, producer_waker) = (consuming.waker(), producing.waker());
    assert!(consumer.poll_next(&mut Context::from_waker(&consumer_waker)).is_pending());
    assert!(producer.poll_space(&mut Context::from_waker(&producer_waker)).is_pending());
    consuming.wake_panics.store(true, Ordering::SeqCst);
    let cancel = AssertUnwindSafe(|| consumer.canceller().cancel());
    catch_unwind(cancel).expect_err("the consumer's wake panics");
    assert_eq!((consuming.wakes(), producing.wakes()), (1, 1));
}

/// The take is at the end of half a window, where the consumer looks for a producer that waits.
#[test]
fn a_wake_that_panics_in_a_take_leaves_the_next_positions_to_the_next_takes() {
    for capacity in [1, 2, 4] {
        let ring = Ring::<usize>::with_capacity(capacity).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        for (value, ticket) in producer.reserve_many(capacity).unwrap().enumerate() {
            ring.complete(ticket, value).unwrap();
        }
        let half = capacity.div_ceil(2);
        let control = leaked_control();
        let waker = control.waker();
        assert!(producer.poll_space_many(&mut Context::from_waker(&waker), half).is_pending());
        control.wake_panics.store(true, Ordering::SeqCst);
        for value in 0..half - 1 {
            assert_eq!(consumer.try_next().unwrap().outcome, Ok(value));
        }
        let take = AssertUnwindSafe(|| consumer.try_next());
        catch_unwind(take).expect_err("the producer's wake panics");
        for value in half..4 * capacity {
            if value >= capacity {
                ring.complete(producer.reserve().unwrap(), value).unwrap();
            }
            assert_eq!(consumer.try_next().unwrap().outcome, Ok(value), "capacity {capacity}");
        }
    }
}

#[test]
fn a_wake_that_panics_when_the_consumer_leaves_keeps_no_value() {
    let (ring, counter) = (Ring::with_capacity(2).unwrap(), DropCounter::default());
    let (mut producer, consumer) = ring.open().unwrap().split();
    for ticket in producer.reserve_many(2).unwrap() {
        ring.complete(ticket, counter.value()).ok().unwrap();
    }
    let control = leaked_control();
    let waker = control.waker();
    assert!(producer.poll_space(&mut Context::from_waker(&waker)).is_pending());
    control.wake_panics.store(true, Ordering::SeqCst);
    catch_unwind(AssertUnwindSafe(|| drop(consumer))).expect_err("the producer's wake panics");
    assert_eq!(counter.alive(), 0, "the values wait for the producer");
    drop(producer);
    counter.assert_each_dropped_once();
}

#[test]
fn a_second_poll_with_the_same_waker_does_not_clone_it() {
    let ring = Ring::<u8>::with_capacity(1).unwrap();
    let control = leaked_control();
    let waker = control.waker();
    let mut context = Context::from_waker(&waker);
    for (poll, name) in ["poll_next", "poll_space", "poll_cancelled"].into_iter().enumerate() {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        _ = producer.reserve().unwrap();
        let mut is_pending = || match poll {
            0 => consumer.poll_next(&mut context).is_pending(),
            1 => producer.poll_space(&mut context).is_pending(),
            _ => producer.poll_cancelled(&mut context).is_pending(),
        };
        assert!(is_pending());
        control.clone_panics.store(true, Ordering::SeqCst);
        assert!(is_pending());
        assert!(control.clone_panics.swap(false, Ordering::SeqCst), "{name}");
    }
}
