//! Queues: the room for which a sender waits.

mod common;

use std::thread;

use common::{executor, with_timeout};

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
