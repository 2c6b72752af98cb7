//! Fan-out over a pool that knows nothing of order, such as rayon's: blocks of a file are checked by
//! whichever thread is free, and come out in the order of the file. One check panics; its place is a
//! gap, and the blocks behind it do not wait for it.
//!
//! ```sh
//! cargo run -p reorder-ring --example rayon_fan_out
//! ```
//!
//! The same works with any pool that takes a closure. Three things matter:
//!
//! * The permit goes into the closure. However that ends, its place in the order is settled: by a
//!   value, or by a gap if it panics or never runs.
//! * Waiting for room, and for the next result, is done on threads outside of the pool. A pool whose
//!   threads wait for its own jobs can come to a standstill.
//! * The oldest job is the one that everybody waits for. Spawned from outside, rayon's jobs start in
//!   order; from a thread of the pool itself, `spawn_fifo` keeps them so, and `spawn` does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};
use reorder_ring::{Consumer, Gap, NextError, Producer, Ring, SpaceTimeoutError};

const BLOCKS: u64 = 2_000;
const BLOCK_BYTES: usize = 4096;
/// The one whose check panics.
const DAMAGED: u64 = 777;
const THREADS: usize = 3;
/// At most so many blocks are under way, or checked and not released.
const WINDOW: usize = 32;

/// How many blocks are in memory, and how many were at most.
static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

type SharedRing = Arc<Ring<Checked>>;

struct Block {
    number: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// Stands for reading the next block of a file.
    fn read(number: u64) -> Block {
        PEAK.fetch_max(IN_MEMORY.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Block { number, bytes: vec![number as u8; BLOCK_BYTES] }
    }

    /// Stands for the work; some blocks take longer than others.
    fn check(self) -> Checked {
        assert!(self.number != DAMAGED, "this check panics, on purpose");
        let rounds = 1 + self.number * 7 % 5;
        let sum = |_| self.bytes.iter().map(|&byte| u64::from(byte)).sum();
        Checked { sum: (0..rounds).map(sum).max().unwrap_or(0), block: self }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        IN_MEMORY.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Checked {
    block: Block,
    sum: u64,
}

/// Reads blocks as fast as the window allows, and spawns a job for each.
fn fan_out(mut producer: Producer<SharedRing>, pool: &ThreadPool) -> Result<(), SpaceTimeoutError> {
    for number in 0..BLOCKS {
        // Room first, then the block: what waits should not fill the memory.
        producer.wait_for_space(None)?;
        let permit = producer.permit().expect("there is room");
        let block = Block::read(number);
        pool.spawn(move || {
            // Refused if the batch was given up meanwhile; nobody wants the result then.
            _ = permit.complete(block.check());
        });
    }
    producer.finish();
    Ok(())
}

/// Releases blocks in order, and returns how many there were and which of them were gaps.
fn release(mut consumer: Consumer<SharedRing>) -> Result<(u64, Vec<u64>), NextError> {
    let (mut blocks, mut gaps) = (0, Vec::new());
    while let Some(delivery) = consumer.next()? {
        assert_eq!(delivery.index, blocks, "out of order");
        match delivery.outcome {
            Ok(Checked { block, sum }) => {
                assert_eq!(block.number, blocks, "another block's result");
                assert_eq!(sum, blocks % 256 * BLOCK_BYTES as u64);
            }
            Err(Gap::Abandoned) => gaps.push(delivery.index),
            Err(gap) => panic!("nobody evicts: {gap}"),
        }
        blocks += 1;
    }
    Ok((blocks, gaps))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(THREADS)
        // Without a handler, rayon aborts the process when a spawned job panics. The gap tells all
        // that there is to tell.
        .panic_handler(|_payload| {})
        .build()?;
    let ring: SharedRing = Arc::new(Ring::with_capacity(WINDOW)?);
    let (producer, consumer) = ring.open_owned()?.split();

    let (blocks, gaps) = thread::scope(|scope| {
        let fanning_out = scope.spawn(|| fan_out(producer, &pool));
        let released = release(consumer);
        fanning_out.join().expect("the producer does not panic")?;
        Ok::<_, Box<dyn std::error::Error>>(released?)
    })?;
    let peak = PEAK.load(Ordering::Relaxed);
    println!("{blocks} blocks released in order; gaps: {gaps:?}; at most {peak} in memory");
    assert_eq!((blocks, gaps), (BLOCKS, vec![DAMAGED]));
    // A window, and the block that is being released.
    assert!(peak <= WINDOW + 1);
    Ok(())
}
