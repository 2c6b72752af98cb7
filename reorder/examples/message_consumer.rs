//! An at-least-once message consumer: the broker may deliver a message twice, workers finish in any
//! order, and offsets are committed in order, each once, and only when all before them are done.
//!
//! ```sh
//! cargo run -p reorder-ring --example message_consumer
//! ```
//!
//! A message carries its ticket as text in a header, so that a repeated delivery carries the same one.
//!
//! * Whichever worker completes it first counts; the other one is refused, and knows that its work
//!   was in vain.
//! * A message that cannot be handled is evicted by its ticket: it goes to the dead letters, and the
//!   offsets behind it are committed nevertheless.
//! * A header from before a restart, or one that is damaged, is refused before any work is done: the
//!   broker will deliver what was not committed anew.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use reorder_ring::{Consumer, Gap, NextError, Producer, Ring, Ticket, TicketBits};

const MESSAGES: u64 = 200;
/// The one that no worker can handle.
const POISONED: u64 = 77;
const WORKERS: usize = 3;
/// How many messages may be under way, or done and not committed.
const WINDOW: usize = 16;

/// What the broker delivers.
#[derive(Clone)]
struct Message {
    offset: u64,
    /// The text of the ticket's bits.
    receipt: String,
}

/// What a worker has done besides.
#[derive(Default)]
struct Vain {
    repeated: u64,
    unknown: u64,
}

/// Stands for the broker: every fifth message is delivered twice, and first of all come two that
/// this consumer knows nothing of.
fn deliver(mut producer: Producer<&Ring<u64>>, leftover: String, messages: &SyncSender<Message>) {
    let send = |message| messages.send(message).expect("the workers go on until the last message");
    send(Message { offset: 0, receipt: leftover[..20].to_owned() });
    send(Message { offset: 0, receipt: leftover });
    for offset in 0..MESSAGES {
        producer.wait_for_space(None).expect("the consumer commits to the end");
        let ticket = producer.reserve().expect("there is room");
        let message = Message { offset, receipt: TicketBits::from(ticket).to_string() };
        if offset % 5 == 0 {
            send(message.clone());
        }
        send(message);
    }
    producer.finish();
}

/// The ticket of a message, if it is of this consumer.
fn ticket(ring: &Ring<u64>, receipt: &str) -> Result<Ticket, Box<dyn std::error::Error>> {
    let bits: TicketBits = receipt.parse()?;
    Ok(ring.ticket_from_bits(bits.into())?)
}

/// Stands for the work; later messages are often faster.
fn handle(offset: u64) -> Result<u64, &'static str> {
    thread::sleep(Duration::from_micros(offset * 37 % 500));
    if offset == POISONED { Err("cannot be handled") } else { Ok(offset) }
}

/// Handles messages until there are no more, and returns how many it handled in vain.
fn work(ring: &Ring<u64>, messages: &Mutex<Receiver<Message>>) -> Vain {
    let mut vain = Vain::default();
    loop {
        let Ok(message) = messages.lock().expect("no worker panics").recv() else { return vain };
        let Ok(ticket) = ticket(ring, &message.receipt) else {
            vain.unknown += 1;
            continue;
        };
        let counted = match handle(message.offset) {
            Ok(result) => ring.complete(ticket, result).is_ok(),
            Err(_) => ring.evict(ticket).is_ok(),
        };
        if !counted {
            vain.repeated += 1;
        }
    }
}

/// Commits offsets in order. Returns how many, and the dead letters among them.
fn commit(mut consumer: Consumer<&Ring<u64>>) -> Result<(u64, Vec<u64>), NextError> {
    let (mut committed, mut dead) = (0, Vec::new());
    while let Some(delivery) = consumer.next()? {
        match delivery.outcome {
            Ok(offset) => assert_eq!(offset, committed, "committed before one that precedes it"),
            Err(Gap::Evicted) => dead.push(delivery.index),
            Err(gap) => panic!("there are no permits: {gap}"),
        }
        committed += 1;
    }
    Ok((committed, dead))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Stands for a run of this program that crashed before it committed.
    let crashed = Ring::<u64>::with_capacity(WINDOW)?;
    let leftover = TicketBits::from(crashed.open()?.reserve()?).to_string();

    let ring = &Ring::with_capacity(WINDOW)?;
    let (producer, consumer) = ring.open()?.split();
    let (sender, receiver) = sync_channel(WINDOW);
    let receiver = Mutex::new(receiver);

    let (committed, vain) = thread::scope(|scope| {
        scope.spawn(move || deliver(producer, leftover, &sender));
        let workers = [(); WORKERS].map(|()| scope.spawn(|| work(ring, &receiver)));
        let committed = commit(consumer);
        (committed, workers.map(|worker| worker.join().expect("no worker panics")))
    });
    let (committed, dead) = committed?;
    let repeated: u64 = vain.iter().map(|vain| vain.repeated).sum();
    let unknown: u64 = vain.iter().map(|vain| vain.unknown).sum();
    println!("{committed} of {MESSAGES} offsets committed, in order; dead letters: {dead:?}");
    println!("{repeated} repeated deliveries handled in vain: {:?}", ring.refusals());
    println!("{unknown} deliveries of another run, or damaged");
    assert_eq!((committed, dead), (MESSAGES, vec![POISONED]));
    assert_eq!((repeated, unknown), (MESSAGES / 5, 2));
    Ok(())
}
