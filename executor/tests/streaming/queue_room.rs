//! Queues: the room for which a sender waits.

use std::thread;
use std::time::Duration;

use crate::common::{block_on, executor, with_timeout};
use crate::full_queue::full_queue;
use reorder_executor::Job;

#[test]
fn a_blocked_sender_uses_the_room_of_one_item() {
    with_timeout(|| {
        let executor = executor(1);
        // With limits, each outcome makes room.
        let batch = executor.batch(()).queue(|n: u32, _| Ok::<_, ()>(n)).window(100);
        let (sender, mut outcomes) = batch.build().unwrap();
        (0..100).for_each(|n| sender.send(n).unwrap());
        for n in 0..3 {
            thread::scope(|scope| {
                // The consumer takes nothing more before this send has returned.
                scope.spawn(|| sender.send(100 + n).unwrap());
                assert_eq!(outcomes.next().unwrap().unwrap(), n);
            });
        }
    });
}

#[test]
fn a_failure_ends_a_sender_that_waits_though_the_consumer_takes_nothing() {
    with_timeout(|| {
        let executor = executor(1);
        let job = |n: u32, _: &Job<'_>| {
            // The sender has filled the window by now, most often.
            thread::sleep(Duration::from_millis(1));
            if n == 8 { Err("eight") } else { Ok(n) }
        };
        let batch = executor.batch(()).fail_fast().queue(job).window(16);
        let (sender, outcomes) = batch.build().unwrap();
        let unsent = (0..).find_map(|n| sender.send(n).err()).expect("the queue has ended");
        assert!((9..=16).contains(&unsent.into_inner()));
        // A place fails while a sender waits.
        let batch = executor.batch(()).fail_fast().queue(|n: u32, _| Ok::<_, &str>(n)).window(2);
        let (sender, places) = batch.build().unwrap();
        let place = sender.reserve().unwrap();
        sender.send(1).unwrap();
        thread::scope(|scope| {
            let sending = scope.spawn(|| sender.send(2).map_err(|unsent| unsent.into_inner()));
            thread::sleep(Duration::from_millis(20));
            place.complete(Err("none")).unwrap();
            assert_eq!(sending.join().unwrap(), Err(2));
        });
        drop((outcomes, places));
    });
}

/// No outcome is taken, and no job ends. So no thread notifies the senders.
#[test]
fn a_deadline_ends_tasks_that_wait() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, ..) = &full_queue(&executor);
        assert!(block_on(Box::pin(sender.send_async(1))).is_err());
        let (sender, ..) = &full_queue(&executor);
        assert!(block_on(Box::pin(sender.reserve_async())).is_err());
    });
}
