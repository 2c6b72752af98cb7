//! Wakers that panic: only the wait in which the panic occurs is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

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
