//! An at-least-once message consumer: the broker may deliver a message twice, workers finish in any
//! order, and offsets are committed in order, each once, and only when all before them are done.
//!
//! ```sh
//! cargo run -p reorder-ring --example message_consumer
//! ```
//!
//! A message carries its ticket as bits, so that a repeated delivery carries the same one. Whichever
//! worker completes it first counts; the other one is refused, and knows that its work was in vain.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use reorder_ring::{Consumer, NextError, Producer, Ring};

const MESSAGES: u64 = 200;
const WORKERS: usize = 3;
/// How many messages may be under way, or done and not committed.
const WINDOW: usize = 16;

/// What the broker delivers.
#[derive(Clone, Copy)]
struct Message {
    offset: u64,
    /// The ticket, as it would travel in a header.
    receipt: u128,
}

/// Stands for the broker: every fifth message is delivered twice.
fn deliver(mut producer: Producer<&Ring<u64>>, messages: &SyncSender<Message>) {
    for offset in 0..MESSAGES {
        producer.wait_for_space(None).expect("the consumer commits to the end");
        let ticket = producer.reserve().expect("there is room");
        let message = Message { offset, receipt: ticket.to_bits() };
        for _ in 0..if offset % 5 == 0 { 2 } else { 1 } {
            messages.send(message).expect("the workers go on until the last message");
        }
    }
    producer.finish();
}

/// Handles messages until there are no more, and returns how many it handled in vain.
fn work(ring: &Ring<u64>, messages: &Mutex<Receiver<Message>>) -> u64 {
    let mut in_vain = 0;
    loop {
        let Ok(message) = messages.lock().expect("no worker panics").recv() else { return in_vain };
        // Later messages are often faster.
        thread::sleep(Duration::from_micros(message.offset * 37 % 500));
        let ticket =
            ring.ticket_from_bits(message.receipt).expect("the broker had it from the ring");
        if ring.complete(ticket, message.offset).is_err() {
            in_vain += 1;
        }
    }
}

/// Commits offsets in order and returns how many.
fn commit(mut consumer: Consumer<&Ring<u64>>) -> Result<u64, NextError> {
    let mut committed = 0;
    while let Some(delivery) = consumer.next()? {
        let offset = delivery.outcome.expect("nothing is evicted");
        assert_eq!(offset, committed, "an offset is committed before one that precedes it");
        committed += 1;
    }
    Ok(committed)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ring = &Ring::with_capacity(WINDOW)?;
    let (producer, consumer) = ring.open()?.split();
    let (sender, receiver) = sync_channel(WINDOW);
    let receiver = Mutex::new(receiver);

    let (committed, in_vain) = thread::scope(|scope| {
        scope.spawn(move || deliver(producer, &sender));
        let workers = [(); WORKERS].map(|()| scope.spawn(|| work(ring, &receiver)));
        let committed = commit(consumer);
        (committed, workers.map(|worker| worker.join().expect("no worker panics")))
    });
    let (committed, in_vain) = (committed?, in_vain.into_iter().sum::<u64>());
    println!("{committed} of {MESSAGES} offsets committed, in order");
    println!("{in_vain} repeated deliveries handled in vain: {:?}", ring.refusals());
    assert_eq!((committed, in_vain), (MESSAGES, MESSAGES / 5));
    Ok(())
}
