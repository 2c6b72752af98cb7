//! Wakers whose own code panics: the wait that met the panic is lost, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use reorder_ring::Ring;

/// What the wakers of a test do next, and how often they were called.
#[derive(Default)]
struct Script {
    clone_panics: AtomicBool,
    drop_panics: AtomicBool,
    wake_panics: AtomicBool,
    wakes: AtomicUsize,
}

impl Script {
    fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table honour the contract of `RawWaker`: the data is a
        // `&'static Script`, which is `Sync`, and there is nothing to release.
        unsafe { Waker::new(std::ptr::from_ref(self).cast(), &TABLE) }
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// The data is that of a waker of [`Script::waker`].
unsafe fn script(data: *const ()) -> &'static Script {
    // SAFETY: the caller says so.
    unsafe { &*data.cast::<Script>() }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the table is that of `Script::waker`.
    assert!(!unsafe { script(data) }.clone_panics.swap(false, Ordering::SeqCst), "clone");
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as above.
    unsafe { wake_by_ref(data) };
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as above.
    let script = unsafe { script(data) };
    script.wakes.fetch_add(1, Ordering::SeqCst);
    assert!(!script.wake_panics.swap(false, Ordering::SeqCst), "wake");
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as above.
    assert!(!unsafe { script(data) }.drop_panics.swap(false, Ordering::SeqCst), "drop");
}

/// A script that is never dropped, as wakers of it may not be either.
fn kept() -> &'static Script {
    // Where a leak detector finds it.
    static ALL: Mutex<Vec<&'static Script>> = Mutex::new(Vec::new());
    let script = Box::leak(Box::default());
    ALL.lock().unwrap().push(script);
    script
}

/// A wait on `script`'s waker is ended by the completion of its position.
fn assert_wakes(ring: &Ring<u32>, script: &'static Script) {
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let waker = script.waker();
    let before = script.wakes();
    assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    ring.complete(ticket, 7).unwrap();
    assert_eq!(script.wakes(), before + 1);
    let Poll::Ready(Ok(Some(delivery))) = consumer.poll_next(&mut Context::from_waker(&waker))
    else {
        panic!("it was completed")
    };
    assert_eq!(delivery.outcome, Ok(7));
}

#[test]
fn a_clone_that_panics_leaves_the_ring_able_to_wake() {
    let ring = Ring::with_capacity(1).unwrap();
    let script = kept();
    {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let waker = script.waker();
        script.clone_panics.store(true, Ordering::SeqCst);
        let poll = AssertUnwindSafe(|| consumer.poll_next(&mut Context::from_waker(&waker)));
        catch_unwind(poll).expect_err("the clone panics");
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
        ring.complete(ticket, 7).unwrap();
        assert_eq!(script.wakes(), 1, "the next poll of the same wait is woken");
    }
    assert_wakes(&ring, script);
}

#[test]
fn a_replaced_waker_whose_drop_panics_leaves_the_ring_able_to_wake() {
    let ring = Ring::with_capacity(1).unwrap();
    let (replaced, script) = (kept(), kept());
    {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (first, second) = (replaced.waker(), script.waker());
        assert!(consumer.poll_next(&mut Context::from_waker(&first)).is_pending());
        std::mem::forget(first);
        replaced.drop_panics.store(true, Ordering::SeqCst);
        let poll = AssertUnwindSafe(|| consumer.poll_next(&mut Context::from_waker(&second)));
        catch_unwind(poll).expect_err("the drop of the replaced one panics");
        assert!(consumer.poll_next(&mut Context::from_waker(&second)).is_pending());
        ring.complete(ticket, 7).unwrap();
        assert_eq!(script.wakes(), 1);
    }
    assert_wakes(&ring, script);
}

#[test]
fn a_waker_left_behind_whose_drop_panics_leaves_the_ring_usable() {
    let ring = Ring::with_capacity(1).unwrap();
    let script = kept();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    _ = producer.reserve().unwrap();
    let waker = script.waker();
    assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    std::mem::forget(waker);
    script.drop_panics.store(true, Ordering::SeqCst);
    let leave = AssertUnwindSafe(|| drop((producer, consumer)));
    catch_unwind(leave).expect_err("the last drop of the waker panics");
    assert_wakes(&ring, kept());
}

#[test]
fn a_wake_that_panics_keeps_no_other_side_asleep() {
    let ring = Ring::<u8>::with_capacity(1).unwrap();
    let (consuming, producing) = (kept(), kept());
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
