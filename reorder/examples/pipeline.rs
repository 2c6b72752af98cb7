//! A pipeline: one thread reads lines, several threads parse them, and one thread releases them in
//! the order in which they were read.
//!
//! ```sh
//! cargo run -p reorder-ring --example pipeline
//! ```
//!
//! Each line has a permit. A worker that panics drops the permit, and the ring delivers a gap for
//! the line. So the release thread does not wait for the line, and does not take the next line for
//! it.
//!
//! A worker that hangs keeps its permit. The release thread could notice that with `next_timeout`,
//! and give the line up with `evict_head`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use reorder_ring::{Consumer, Gap, NextError, Permit, Producer, Ring};

const LINES: u64 = 1000;
const WORKERS: usize = 3;
/// The maximum number of lines that have a permit and whose outcomes were not taken.
const WINDOW: usize = 64;

type Lines<'r> = (String, Permit<&'r Ring<u64>>);

/// Reads lines, as fast as the window allows.
fn read<'r>(mut producer: Producer<&'r Ring<u64>>, lines: &SyncSender<Lines<'r>>) {
    for number in 0..LINES {
        let line = if number == 500 { "not a number".to_owned() } else { number.to_string() };
        producer.wait_for_space(None).expect("the release thread takes all lines");
        let permit = producer.permit().expect("the ring has a free slot");
        lines.send((line, permit)).expect("the workers receive to the end");
    }
    producer.finish();
}

/// Parses lines until there are no more.
fn work(lines: &Mutex<Receiver<Lines<'_>>>) {
    loop {
        let line = lines.lock().expect("no worker panics while it holds the lock").recv();
        let Ok((line, permit)) = line else { return };
        // If a line cannot be parsed, the worker goes on with the next line.
        _ = catch_unwind(AssertUnwindSafe(|| {
            let number: u64 = line.parse().expect("a number");
            permit.complete(number * number).expect("only this permit completes the line");
        }));
    }
}

/// Releases the lines in order, and returns the numbers of lines and of gaps.
fn release(mut consumer: Consumer<&Ring<u64>>) -> Result<(u64, u64), NextError> {
    let (mut lines, mut gaps) = (0, 0);
    while let Some(delivery) = consumer.next()? {
        assert_eq!(delivery.index, lines, "out of order");
        match delivery.outcome {
            Ok(square) => assert_eq!(square, lines * lines),
            Err(Gap::Abandoned) => gaps += 1,
            Err(gap) => panic!("this program evicts no line: {gap}"),
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
    println!("{lines} lines released in order; gaps after a panic: {gaps}");
    assert_eq!((lines, gaps), (LINES, 1));
    Ok(())
}
