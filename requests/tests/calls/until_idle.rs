//! Waiting until the last attempt of a batch that was given up has ended.

use std::sync::mpsc;
use std::thread;

use crate::common::{Latch, LiveCounter, executor, with_timeout};
use crate::futures::{MS, endless, runtime, spawner};
use reorder_executor::CancellationToken;
use reorder_requests::{AttemptOutcome, RequestsExt};

#[test]
fn a_caller_can_wait_for_the_attempts_that_a_cancelled_batch_left() {
    with_timeout(|| {
        let (token, executor) = (CancellationToken::new(), executor(2));
        let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
        let batch = || executor.batch(0..10).cancelled_by(&token).requests();
        let job = |latch: &Latch, entered: &mpsc::Sender<()>| {
            let (latch, entered) = (latch.clone(), entered.clone());
            move |&n: &u64, _: &_| {
                entered.send(()).unwrap();
                latch.wait();
                AttemptOutcome::<_, ()>::Done(n)
            }
        };
        let mut started = batch().submit(job(&latch, &entered)).unwrap();
        entries.recv().unwrap();
        entries.recv().unwrap();
        let mut waiting = batch().submit(job(&latch, &entered)).unwrap();
        token.cancel();
        assert!(!started.until_idle(Some(20 * MS)), "two attempts run");
        assert!(waiting.until_idle(None), "no attempt has started");
        latch.open();
        assert!(started.until_idle(None));
        // Both have their outcomes, and no attempt touches anything any more.
        assert_eq!(started.wait().outcomes().len(), 10);
        assert_eq!(waiting.wait().outcomes().len(), 10);
        assert!(entries.try_recv().is_err(), "no other attempt has started");
    });
}

#[test]
fn a_result_that_is_being_dropped_is_waited_for() {
    struct SlowToDrop(mpsc::Sender<()>, Latch);
    impl Drop for SlowToDrop {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.wait();
        }
    }
    with_timeout(|| {
        let executor = executor(1);
        let (returned, dropped) = (Latch::default(), Latch::default());
        let (sender, events) = mpsc::channel();
        let (may_return, may_drop) = (returned.clone(), dropped.clone());
        let requests = executor.batch(0..1).item_timeout(MS).requests();
        let job = move |_: &_, _: &_| {
            may_return.wait();
            AttemptOutcome::<_, ()>::Done(SlowToDrop(sender.clone(), may_drop.clone()))
        };
        let mut stream = requests.stream(job).unwrap();
        assert!(stream.next().is_some_and(|outcome| outcome.is_err()), "the item is given up");
        returned.open();
        events.recv().expect("the late result is dropped");
        assert!(!stream.until_idle(Some(20 * MS)), "a thread drops the result");
        dropped.open();
        assert!(stream.until_idle(None));
    });
}

#[test]
fn aborted_futures_are_waited_for_until_their_runtime_has_dropped_them() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let live = LiveCounter::default();
        let (token, counted) = (CancellationToken::new(), live.clone());
        let requests = executor.batch(0..3).cancelled_by(&token).requests();
        let job = move |_, _| endless(&counted);
        let mut handle = requests.submit_async(spawner(&runtime), job).unwrap();
        while live.alive() < 3 {
            thread::yield_now();
        }
        assert!(!handle.until_idle(Some(10 * MS)));
        token.cancel();
        assert!(handle.until_idle(None));
        assert_eq!(live.alive(), 0);
    });
}
