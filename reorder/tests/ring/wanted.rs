//! Tickets, permits and producers that ask whether a value, or the batch, is still wanted.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::wake_counter::WakeCounter;
use reorder_ring::{Gap, Ring};

#[test]
fn a_value_is_wanted_until_its_position_is_settled() {
    let (ring, other) = (Ring::with_capacity(4).unwrap(), Ring::<u8>::with_capacity(4).unwrap());
    let mut batch = ring.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(3).unwrap().collect();
    let permit = batch.permit().unwrap();
    let dropped = permit.ticket();
    assert!(tickets.iter().all(|&ticket| ring.is_wanted(ticket)));
    assert!(permit.is_wanted() && ring.is_wanted(dropped));
    assert!(!other.is_wanted(tickets[0]), "it belongs to another ring");

    ring.complete(tickets[0], 'a').unwrap();
    ring.evict(tickets[1]).unwrap();
    drop(permit);
    let wanted = [tickets[0], tickets[1], tickets[2], dropped].map(|ticket| ring.is_wanted(ticket));
    assert_eq!(wanted, [false, false, true, false]);
    assert_eq!(batch.drain_ready().count(), 2);
    assert!(!ring.is_wanted(tickets[0]), "it was delivered");
    ring.complete(tickets[2], 'c').unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok('c'));
    assert_eq!(batch.try_next().unwrap().outcome, Err(Gap::Abandoned));
}

#[test]
fn no_value_of_a_batch_that_ended_is_wanted() {
    let ring = Arc::new(Ring::<u8>::with_capacity(2).unwrap());
    // The first batch is cancelled, the second loses its consumer, the third is closed.
    for end in 0..3 {
        let (mut producer, consumer) = ring.open_owned().unwrap().split();
        let (ticket, permit) = (producer.reserve().unwrap(), producer.permit().unwrap());
        assert!(ring.is_wanted(ticket) && permit.is_wanted() && !producer.is_cancelled());
        let mut consumer = Some(consumer);
        match end {
            0 => assert!(consumer.as_ref().unwrap().canceller().cancel()),
            1 => drop(consumer.take()),
            _ => {
                producer.finish();
                drop(consumer.take());
                assert!(!ring.is_wanted(ticket) && !permit.is_wanted());
                continue;
            }
        }
        assert!(!ring.is_wanted(ticket) && !permit.is_wanted() && producer.is_cancelled());
        assert!(ring.complete(ticket, 1).is_err() || end == 0, "the consumer may still take it");
        drop((producer, consumer));
        // The next batch of the ring does not make them wanted again.
        let mut next = ring.open().unwrap();
        assert!(next.reserve().is_ok() && !next.is_cancelled());
        assert!(!ring.is_wanted(ticket) && !permit.is_wanted());
    }
}

#[test]
fn a_producer_that_polls_is_woken_by_the_cancellation() {
    let ring = Ring::<u8>::with_capacity(2).unwrap();
    for leaves in [false, true] {
        let (mut producer, consumer) = ring.open().unwrap().split();
        let (wake_counter, waker) = WakeCounter::new();
        let mut context = Context::from_waker(&waker);
        assert_eq!(producer.poll_cancelled(&mut context), Poll::Pending);
        assert_eq!(producer.poll_cancelled(&mut context), Poll::Pending);
        assert_eq!(wake_counter.count(), 0);
        let canceller = consumer.canceller();
        if leaves {
            drop(consumer);
        } else {
            assert!(canceller.cancel());
        }
        assert_eq!(wake_counter.count(), 1);
        assert_eq!(producer.poll_cancelled(&mut context), Poll::Ready(()));
        assert!(producer.is_cancelled());
    }
}
