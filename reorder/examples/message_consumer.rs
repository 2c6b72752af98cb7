//! An at-least-once message consumer. The broker may deliver a message twice, and the workers
//! finish in any order. The consumer commits each offset once and in order.
//!
//! ```sh
//! cargo run -p reorder-ring --example message_consumer
//! ```
//!
//! A message carries its ticket as text in a header. A repeated delivery carries the same ticket.
//!
//! * The first completion of a message counts. The ring refuses the second, so its worker knows
//!   that its work was redundant.
//! * If a worker cannot handle a message, it evicts the message by its ticket. The message becomes
//!   a dead letter, and later offsets are still committed.
//! * The ring refuses a damaged header, and a header from before a restart. The worker notices that
//!   before it works. The broker will deliver the uncommitted messages again.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use reorder_ring::{Consumer, Gap, NextError, Producer, Ring, Ticket, TicketBits};

const MESSAGES: u64 = 200;
/// The message that no worker can handle.
const POISONED: u64 = 77;
const WORKERS: usize = 3;
/// The maximum number of messages that have a ticket and whose outcomes were not taken.
const WINDOW: usize = 16;

/// A message of the broker.
#[derive(Clone)]
struct Message {
    offset: u64,
    /// The text of the ticket's bits.
    receipt: String,
}

/// The deliveries of a worker that did not count.
#[derive(Default)]
struct Redundant {
    repeated: u64,
    unknown: u64,
}

/// Simulates the broker. It first delivers two messages with unknown tickets, and it delivers every
/// fifth message twice.
fn deliver(mut producer: Producer<&Ring<u64>>, leftover: String, messages: &SyncSender<Message>) {
    let send = |message| messages.send(message).expect("the workers receive to the end");
    send(Message { offset: 0, receipt: leftover[..20].to_owned() });
    send(Message { offset: 0, receipt: leftover });
    for offset in 0..MESSAGES {
        producer.wait_for_space(None).expect("the consumer commits to the end");
        let ticket = producer.reserve().expect("the ring has a free slot");
        let message = Message { offset, receipt: TicketBits::from(ticket).to_string() };
        if offset % 5 == 0 {
            send(message.clone());
        }
        send(message);
    }
    producer.finish();
}

/// Returns the ticket of a message, if this run of the consumer has issued it.
fn ticket(ring: &Ring<u64>, receipt: &str) -> Result<Ticket, Box<dyn std::error::Error>> {
    let bits: TicketBits = receipt.parse()?;
    Ok(ring.ticket_from_bits(bits.into())?)
}

/// Simulates the work. Later messages are often faster.
fn handle(offset: u64) -> Result<u64, &'static str> {
    thread::sleep(Duration::from_micros(offset * 37 % 500));
    if offset == POISONED { Err("cannot be handled") } else { Ok(offset) }
}

/// Handles messages until there are no more, and returns the number of redundant deliveries.
fn work(ring: &Ring<u64>, messages: &Mutex<Receiver<Message>>) -> Redundant {
    let mut redundant = Redundant::default();
    loop {
        let message = messages.lock().expect("no worker panics").recv();
        let Ok(message) = message else { return redundant };
        let Ok(ticket) = ticket(ring, &message.receipt) else {
            redundant.unknown += 1;
            continue;
        };
        let counted = match handle(message.offset) {
            Ok(result) => ring.complete(ticket, result).is_ok(),
            Err(_) => ring.evict(ticket).is_ok(),
        };
        if !counted {
            redundant.repeated += 1;
        }
    }
}

/// Commits offsets in order. Returns the number of offsets, and the dead letters among them.
fn commit(mut consumer: Consumer<&Ring<u64>>) -> Result<(u64, Vec<u64>), NextError> {
    let (mut committed, mut dead) = (0, Vec::new());
    while let Some(delivery) = consumer.next()? {
        match delivery.outcome {
            Ok(offset) => assert_eq!(offset, committed, "the offset is committed out of order"),
            Err(Gap::Evicted) => dead.push(delivery.index),
            Err(gap) => panic!("this program has no permits: {gap}"),
        }
        committed += 1;
    }
    Ok((committed, dead))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Simulates a run of this program that crashed before it committed.
    let crashed = Ring::<u64>::with_capacity(WINDOW)?;
    let leftover = TicketBits::from(crashed.open()?.reserve()?).to_string();

    let ring = &Ring::with_capacity(WINDOW)?;
    let (producer, consumer) = ring.open()?.split();
    let (sender, receiver) = sync_channel(WINDOW);
    let receiver = Mutex::new(receiver);

    let (committed, redundant) = thread::scope(|scope| {
        scope.spawn(move || deliver(producer, leftover, &sender));
        let workers = [(); WORKERS].map(|()| scope.spawn(|| work(ring, &receiver)));
        let committed = commit(consumer);
        (committed, workers.map(|worker| worker.join().expect("no worker panics")))
    });
    let (committed, dead) = committed?;
    let repeated: u64 = redundant.iter().map(|redundant| redundant.repeated).sum();
    let unknown: u64 = redundant.iter().map(|redundant| redundant.unknown).sum();
    println!("{committed} of {MESSAGES} offsets committed, in order; dead letters: {dead:?}");
    println!("{repeated} repeated deliveries refused: {:?}", ring.refusals());
    println!("{unknown} deliveries with a damaged ticket or a ticket of another run");
    assert_eq!((committed, dead), (MESSAGES, vec![POISONED]));
    assert_eq!((repeated, unknown), (MESSAGES / 5, 2));
    Ok(())
}
