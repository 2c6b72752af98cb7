//! Queues: items that are sent by any number of threads and tasks, and places that are completed
//! from anywhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, LiveCounter, block_on, executor, kinds, with_timeout};
use reorder_executor::{
    CancellationToken, Failure, Job, Ordered, QueueSender, Refused, Shutdown, TrySendError,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A waker that tells whether it was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Returns the values of a stream whose jobs succeed.
fn values<U: Send>(outcomes: Ordered<'_, U>) -> Vec<U> {
    outcomes.map(|outcome| outcome.expect("no job panics")).collect()
}

#[test]
fn outcomes_come_in_the_order_of_the_sends() {
    with_timeout(|| {
        for (workers, window) in [(1, 1), (2, 3), (3, 64), (2, 1000)] {
            let executor = executor(workers);
            let (sender, outcomes) = executor.queue(|n: u64| n * n).window(window).build().unwrap();
            let sending = thread::spawn(move || (0..5000).for_each(|n| sender.send(n).unwrap()));
            assert!(values(outcomes).into_iter().eq((0..5000).map(|n| n * n)));
            sending.join().unwrap();
        }
    });
}

#[test]
fn each_of_many_senders_finds_its_items_in_its_order() {
    with_timeout(|| {
        let executor = executor(2);
        let (sender, outcomes) = executor.queue(|item: (u32, u32)| item).window(7).build().unwrap();
        for thread in 0..4 {
            let sender = sender.clone();
            thread::spawn(move || (0..1000).for_each(|n| sender.send((thread, n)).unwrap()));
        }
        drop(sender);
        let mut next = [0; 4];
        for (thread, n) in values(outcomes) {
            assert_eq!(n, next[thread as usize]);
            next[thread as usize] += 1;
        }
        assert_eq!(next, [1000; 4]);
    });
}

#[test]
fn a_window_is_exact_and_counts_what_was_not_taken() {
    let executor = executor(2);
    for window in [1, 2, 5, 100] {
        let (sender, mut outcomes) = executor.queue(|n: usize| n).window(window).build().unwrap();
        for round in 0..3 {
            let first = if round == 0 { 0 } else { window - 1 };
            (first..window).for_each(|n| sender.try_send(n).unwrap());
            let refused = sender.try_send(77).unwrap_err();
            assert!(matches!(refused, TrySendError::Full(77)), "{refused}");
            assert!(matches!(sender.try_reserve(), Err(TrySendError::Full(()))));
            // A chunk may have several items. It makes room when its last outcome was taken.
            while sender.try_send(window).is_err() {
                assert!(outcomes.next().unwrap().is_ok());
            }
            while outcomes.next().unwrap().unwrap() != window {}
            (1..window).for_each(|n| sender.try_send(n).unwrap());
        }
    }
}

#[test]
fn a_window_out_of_range_and_a_stopped_executor_are_typed_errors() {
    let executor = executor(1);
    let text = |refused: Refused<()>| refused.to_string();
    let refused = executor.queue(|n: u8| n).window(0).build().unwrap_err();
    assert_eq!(text(refused), "a window must be at least 1 item, not 0");
    let refused = executor.queue(|n: u8| n).window(usize::MAX).build().unwrap_err();
    assert!(text(refused).contains(&usize::MAX.to_string()));
    _ = executor.shutdown(Shutdown::Drain, None);
    let refused = executor.queue(|n: u8| n).build().unwrap_err();
    assert_eq!(text(refused), "the executor was shut down and accepts no more calls");
}

#[test]
fn a_blocked_sender_wakes_when_there_is_room_and_when_there_is_none_to_come() {
    with_timeout(|| {
        let executor = executor(1);
        for is_dropped in [false, true] {
            let (sender, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
            sender.send(0).unwrap();
            let sending = thread::spawn(move || sender.send(1).map_err(|error| error.into_inner()));
            thread::sleep(Duration::from_millis(5));
            if is_dropped {
                drop(outcomes);
                assert_eq!(sending.join().unwrap(), Err(1));
            } else {
                assert_eq!(outcomes.next().unwrap().unwrap(), 0);
                assert_eq!(sending.join().unwrap(), Ok(()));
                assert_eq!(outcomes.next().unwrap().unwrap(), 1);
                assert!(outcomes.next().is_none());
            }
        }
    });
}

#[test]
fn a_dropped_stream_returns_what_was_not_started() {
    with_timeout(|| {
        let executor = executor(1);
        let (started, latch) = (Latch::default(), Latch::default());
        let (inside, outside) = (started.clone(), latch.clone());
        let job = move |n: u32| {
            if n == 0 {
                inside.open();
                outside.wait();
            }
        };
        let (sender, outcomes) = executor.queue(job).window(10).build().unwrap();
        (0..6).for_each(|n| sender.send(n).unwrap());
        started.wait();
        assert_eq!(sender.take_unstarted(), [], "they are to be run");
        drop(outcomes);
        assert_eq!(sender.send(6).unwrap_err().into_inner(), 6);
        assert!(matches!(sender.try_send(7), Err(TrySendError::Closed(7))));
        assert!(sender.reserve().is_err());
        assert_eq!(sender.take_unstarted(), [1, 2, 3, 4, 5]);
        assert_eq!(sender.take_unstarted(), []);
        latch.open();
    });
}

#[test]
fn tasks_wait_for_room_and_give_it_up() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        sender.send(0).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sends: VecDeque<_> = (1..4).map(|n| Box::pin(sender.send_async(n))).collect();
        for send in &mut sends {
            assert!(send.as_mut().poll(&mut cx).is_pending());
        }
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut last = Box::pin(sender.send_async(4));
        assert!(last.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(outcomes.next().unwrap().unwrap(), 0);
        // The first one was woken. It is dropped, so it passes the room on. So do the others.
        while sends.pop_front().is_some() {
            assert_eq!(woken.0.load(SeqCst), sends.is_empty());
        }
        assert_eq!(last.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
        assert_eq!(outcomes.next().unwrap().unwrap(), 4);
        assert_eq!(block_on(Box::pin(sender.send_async(5))), Ok(()));
        assert_eq!(outcomes.next().unwrap().unwrap(), 5);
        let place = block_on(Box::pin(sender.reserve_async())).unwrap();
        place.complete(Ok(6)).unwrap();
        assert_eq!(outcomes.next().unwrap().unwrap(), 6);
        sender.send(7).unwrap();
        let mut send = Box::pin(sender.send_async(8));
        assert!(send.as_mut().poll(&mut cx).is_pending());
        drop(outcomes);
        let Poll::Ready(Err(error)) = send.as_mut().poll(&mut cx) else { panic!("it is closed") };
        assert_eq!(error.into_inner(), 8);
    });
}

#[test]
fn places_are_completed_from_anywhere_in_any_order() {
    with_timeout(|| {
        let executor = executor(2);
        for round in 0..200_u64 {
            let (sender, outcomes) = executor.queue(|n: u64| n).window(64).build().unwrap();
            let mut places = Vec::new();
            for index in 0..40 {
                if (index + round) % 3 == 0 {
                    let place = sender.reserve().unwrap();
                    assert!(place.index() == index && place.is_wanted());
                    places.push(place);
                } else {
                    sender.send(index).unwrap();
                }
            }
            drop(sender);
            let driver = thread::spawn(move || {
                while let Some(place) = places.pop() {
                    let index = place.index();
                    place.complete(Ok(index)).unwrap();
                }
            });
            assert!(values(outcomes).into_iter().eq(0..40));
            driver.join().unwrap();
        }
    });
}

#[test]
fn a_dropped_place_is_a_failure_and_an_unwanted_one_gives_its_result_back() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, mut outcomes) = executor.queue(|n: u32| n).build().unwrap();
        drop(sender.reserve().unwrap());
        let outcome = outcomes.next().unwrap();
        assert!(matches!(outcome, Err(Failure::PlaceDropped)), "{outcome:?}");
        assert_eq!(outcome.unwrap_err().to_string(), "the place was dropped without a result");
        let place = sender.reserve().unwrap();
        drop(outcomes);
        assert!(!place.is_wanted());
        assert_eq!(place.complete(Ok(5)), Err(Ok(5)));
        assert!(sender.reserve().is_err());
    });
}

#[test]
fn the_limits_of_a_queue_hold_for_items_and_places() {
    with_timeout(|| {
        let executor = executor(2);
        let limit = Duration::from_millis(500);
        let job = |n: u32, job: &Job<'_>| {
            while n == 1 && !job.should_stop() {
                thread::yield_now();
            }
            if n == 3 { Err("three") } else { Ok(n) }
        };
        let batch = executor.batch(()).item_timeout(limit);
        let (sender, mut outcomes) = batch.queue(job).window(5).build().unwrap();
        (0..3).for_each(|n| sender.send(n).unwrap());
        let (late, forgotten) = (sender.reserve().unwrap(), sender.reserve().unwrap());
        std::mem::forget(forgotten);
        let first: Vec<_> = outcomes.by_ref().take(5).collect();
        assert_eq!(kinds(&first), ".i.ii");
        assert!(!late.is_wanted());
        assert_eq!(late.complete(Err("late")), Err(Err("late")));
        sender.send(3).unwrap();
        let failed = sender.reserve().unwrap();
        failed.complete(Err("failed")).unwrap();
        drop(sender);
        let last: Vec<_> = outcomes.collect();
        assert_eq!(kinds(&last), "ff");
    });
}

#[test]
fn a_queue_that_fails_fast_ends_its_senders_and_returns_what_was_not_started() {
    with_timeout(|| {
        let executor = executor(1);
        let job = |n: u32, _: &Job<'_>| if n == 2 { Err("two") } else { Ok(n) };
        let batch = executor.batch(()).fail_fast();
        let (sender, outcomes) = batch.queue(job).window(3).build().unwrap();
        let sending = thread::spawn(move || {
            let unsent = (0..).find_map(|n| sender.send(n).err()).unwrap();
            let mut left = sender.take_unstarted();
            left.push(unsent.into_inner());
            left
        });
        let outcomes: Vec<_> = outcomes.collect();
        assert_eq!(outcomes[0].as_ref().ok(), Some(&0));
        assert!(matches!(outcomes[2], Err(Failure::Failed { error: "two", .. })));
        assert!(kinds(&outcomes[3..]).chars().all(|kind| kind == 'c'));
        let left = sending.join().unwrap();
        assert!(left.windows(2).all(|pair| pair[0] + 1 == pair[1]) && left[0] >= 3, "{left:?}");
    });
}

#[test]
fn a_cancellation_and_a_deadline_end_a_sender_that_waits() {
    with_timeout(|| {
        let executor = executor(1);
        let token = CancellationToken::new();
        let soon = Instant::now() + Duration::from_millis(20);
        for is_token in [true, false] {
            let batch = executor.batch(());
            let batch = if is_token { batch.cancelled_by(&token) } else { batch.deadline(soon) };
            let job = |n: u32, _: &Job<'_>| Ok::<_, ()>(n);
            let (sender, outcomes) = batch.queue(job).window(1).build().unwrap();
            let sending = thread::spawn(move || (0..).find_map(|n| sender.send(n).err()));
            if is_token {
                token.cancel();
            }
            assert!(sending.join().unwrap().is_some());
            drop(outcomes);
        }
    });
}

#[test]
fn a_worker_that_waits_for_room_runs_items_and_is_replaced() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        // The only worker sends more than there is room for.
        let (sender, outcomes) = executor.queue(|n: u32| n).window(2).build().unwrap();
        let handle = executor
            .batch([sender])
            .submit(move |sender, _| {
                (0..100).for_each(|n| sender.send(n).unwrap());
                Ok::<_, ()>(())
            })
            .unwrap();
        assert!(values(outcomes).into_iter().eq(0..100));
        assert!(handle.wait().into_values().is_ok());
        // While it waits, other calls find a worker.
        let (sender, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        let started = Latch::default();
        let inside = started.clone();
        let handle = executor
            .batch([()])
            .submit(move |(), _| {
                inside.open();
                sender.send(0).unwrap();
                sender.send(1).unwrap();
                Ok::<_, ()>(())
            })
            .unwrap();
        started.wait();
        let other = executor.batch([5]).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        assert_eq!(other.wait().into_values().unwrap(), [5]);
        assert_eq!(outcomes.next().unwrap().unwrap(), 0);
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert!(handle.wait().into_values().is_ok());
    });
}

#[test]
fn a_queue_outlives_its_executor() {
    with_timeout(|| {
        let executor = executor(2);
        let (sender, mut outcomes) = executor.queue(|n: u32| n + 1).window(4).build().unwrap();
        sender.send(0).unwrap();
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        drop(executor);
        // The consumer waits for an item, and runs it.
        let sending = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            (1..100).for_each(|n| sender.send(n).unwrap());
        });
        assert!(values(outcomes).into_iter().eq(2..=100));
        sending.join().unwrap();
    });
}

#[test]
fn a_drain_waits_for_the_senders_and_the_places() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, outcomes) = executor.queue(|n: u32| n).build().unwrap();
        let place = sender.reserve().unwrap();
        let is_drained = |within| executor.shutdown(Shutdown::Drain, Some(within)).is_complete();
        assert!(!is_drained(Duration::from_millis(1)), "the sender may send");
        sender.send(1).unwrap();
        drop(sender);
        assert!(!is_drained(Duration::from_millis(1)), "the place is open");
        place.complete(Ok(0)).unwrap();
        assert!(is_drained(HOUR));
        assert_eq!(values(outcomes), [0, 1]);
    });
}

#[test]
fn items_and_outcomes_are_dropped_once_whatever_is_dropped_first() {
    with_timeout(|| {
        let executor = executor(2);
        let (items, results) = (LiveCounter::default(), LiveCounter::default());
        for round in 0..300 {
            let counter = results.clone();
            let job = move |item: crate::common::Tracked| {
                assert!(item.value % 7 != 3, "this panics on purpose");
                counter.track(item.value)
            };
            let (sender, mut outcomes) = executor.queue(job).window(8).build().unwrap();
            let place = sender.reserve().unwrap();
            (0..7).for_each(|n| sender.send(items.track(n)).unwrap());
            drop(place.complete(Ok(results.track(99))));
            outcomes.by_ref().take(round % 9).for_each(drop);
            match round % 3 {
                0 => drop((sender, outcomes)),
                1 => drop((outcomes, sender)),
                _ => {
                    drop(outcomes);
                    drop((sender.take_unstarted(), sender.clone(), sender));
                }
            }
        }
        items.wait_until_none_alive();
        results.wait_until_none_alive();
    });
}

#[test]
fn a_forgotten_sender_keeps_the_queue_open_and_nothing_else() {
    let executor = executor(1);
    let (sender, mut outcomes) = executor.queue(|()| ()).window(2).build().unwrap();
    for _ in 0..1000 {
        sender.send(()).unwrap();
        assert!(outcomes.next().unwrap().is_ok(), "values without a size are counted as others");
    }
    std::mem::forget(sender);
    drop(outcomes);
    assert_eq!(executor.map([1, 2], |n| n), [1, 2]);
}

#[test]
fn a_cheap_past_holds_back_few_items_and_free_threads_share_a_burst() {
    with_timeout(|| {
        let executor = executor(2);
        let running = Arc::new(AtomicUsize::new(0));
        let both = Arc::new(Barrier::new(2));
        let (count, meet) = (Arc::clone(&running), Arc::clone(&both));
        let job = move |n: u64| {
            if n >= 1000 {
                count.fetch_add(1, SeqCst);
                meet.wait();
            }
        };
        let (sender, mut outcomes) = executor.queue(job).window(64).build().unwrap();
        for n in 0..1000 {
            sender.send(n).unwrap();
            assert!(outcomes.next().unwrap().is_ok());
        }
        // Two that wait for each other, sent together.
        (1000..1002).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        assert_eq!(outcomes.count(), 2);
        assert_eq!(running.load(SeqCst), 2);
    });
}

#[test]
fn a_sender_is_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    let executor = executor(1);
    let (sender, outcomes) = executor.task_queue::<u32>().build().unwrap();
    is_shared(&sender);
    let sender: QueueSender<_, _> = sender;
    let first = 20;
    sender.push(move || first + 1).unwrap();
    sender.push(|| 2).unwrap();
    drop(sender);
    assert_eq!(values(outcomes), [21, 2]);
}
