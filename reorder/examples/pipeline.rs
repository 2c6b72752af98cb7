//! A pipeline with a release thread: lines are read by one thread, parsed by several, and released
//! by one, in the order in which they were read.
//!
//! ```sh
//! cargo run -p reorder-ring --example pipeline
//! ```
//!
//! Each line travels with a permit. A worker that panics drops it, and the line becomes a gap at its
//! place: the release thread neither waits for it for ever nor mistakes the next line for it. A worker
//! that hangs keeps its permit; `next_timeout` notices, and `evict_head` gives the line up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use reorder_ring::{Consumer, Gap, NextError, Permit, Producer, Ring};

const LINES: u64 = 1000;
const WORKERS: usize = 3;
/// How many lines may be under way, or parsed and not released.
const WINDOW: usize = 64;

type Lines<'r> = (String, Permit<&'r Ring<u64>>);

/// Reads lines, as fast as the window allows.
fn read<'r>(mut producer: Producer<&'r Ring<u64>>, lines: &SyncSender<Lines<'r>>) {
    for number in 0..LINES {
        let line = if number == 500 { "not a number".to_owned() } else { number.to_string() };
        producer.wait_for_space(None).expect("lines are released to the end");
        let permit = producer.permit().expect("there is room");
        lines.send((line, permit)).expect("the workers go on until the last line");
    }
    producer.finish();
}

/// Parses lines until there are no more.
fn work(lines: &Mutex<Receiver<Lines<'_>>>) {
    loop {
        let Ok((line, permit)) = lines.lock().expect("nobody panics with it").recv() else {
            return;
        };
        // A line that cannot be parsed costs itself and no other.
        _ = catch_unwind(AssertUnwindSafe(|| {
            let number: u64 = line.parse().expect("a number");
            permit.complete(number * number).expect("nobody else has this permit");
        }));
    }
}

/// Releases in order, and returns how many lines there were and how many of them were gaps.
fn release(mut consumer: Consumer<&Ring<u64>>) -> Result<(u64, u64), NextError> {
    let (mut lines, mut gaps) = (0, 0);
    while let Some(delivery) = consumer.next()? {
        assert_eq!(delivery.index, lines, "out of order");
        match delivery.outcome {
            Ok(square) => assert_eq!(square, lines * lines),
            Err(Gap::Abandoned) => gaps += 1,
            Err(gap) => panic!("nobody evicts: {gap}"),
        }
        lines += 1;
    }
    Ok((lines, gaps))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ring = Ring::with_capacity(WINDOW)?;
    let (producer, consumer) = ring.open()?.split();
    let (sender, receiver) = sync_channel(WINDOW);
    let receiver = Mutex::new(receiver);

    let (lines, gaps) = thread::scope(|scope| {
        scope.spawn(move || read(producer, &sender));
        for _ in 0..WORKERS {
            scope.spawn(|| work(&receiver));
        }
        release(consumer)
    })?;
    println!("{lines} lines released in order, {gaps} of them lost by a worker");
    assert_eq!((lines, gaps), (LINES, 1));
    Ok(())
}
