//! Fan-out over a pool without any order, such as rayon's. The threads of the pool check the blocks
//! of a file, and the program releases the blocks in the order of the file. One check panics and
//! leaves a gap, and the later blocks do not wait for it.
//!
//! ```sh
//! cargo run -p reorder-ring --example rayon_fan_out
//! ```
//!
//! The same works with any pool that runs closures. Three things matter:
//!
//! * The closure owns the permit, so each position is completed. It gets a value, or it gets a gap
//!   if the closure panics or never runs.
//! * The threads that wait for a free slot or for the next result are not threads of the pool. A
//!   pool whose threads wait for its own jobs can deadlock.
//! * All later results wait for the oldest job, so jobs should start in order. They do if a thread
//!   outside the pool spawns them. A thread of the pool must use `spawn_fifo` instead of `spawn`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};
use reorder_ring::{Consumer, Gap, NextError, Producer, Ring, SpaceTimeoutError};

const BLOCKS: u64 = 2_000;
const BLOCK_BYTES: usize = 4096;
/// The block whose check panics.
const DAMAGED: u64 = 777;
const THREADS: usize = 3;
/// The maximum number of blocks that have a permit and whose outcomes were not taken.
const WINDOW: usize = 32;

/// The number of blocks in memory.
static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);
/// The largest number of blocks that were in memory.
static PEAK: AtomicUsize = AtomicUsize::new(0);

type SharedRing = Arc<Ring<Checked>>;

struct Block {
    number: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// Simulates the read of the next block of a file.
    fn read(number: u64) -> Block {
        PEAK.fetch_max(IN_MEMORY.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Block { number, bytes: vec![number as u8; BLOCK_BYTES] }
    }

    /// Simulates the work. Some blocks take longer than others.
    fn check(self) -> Checked {
        assert!(self.number != DAMAGED, "this check panics on purpose");
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
        // Waits before the read, so no block is in memory while the producer waits.
        producer.wait_for_space(None)?;
        let permit = producer.permit().expect("the ring has a free slot");
        let block = Block::read(number);
        pool.spawn(move || {
            // The ring refuses the result if the batch was cancelled. It is not needed then.
            _ = permit.complete(block.check());
        });
    }
    producer.finish();
    Ok(())
}

/// Releases blocks in order, and returns the number of blocks and the indices of the gaps.
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
            Err(gap) => panic!("this program evicts no block: {gap}"),
        }
        blocks += 1;
    }
    Ok((blocks, gaps))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(THREADS)
        // Without a handler, rayon aborts the process when a spawned job panics. The gap reports
        // the panic, so the handler does nothing.
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
    // A window of blocks, and the block that is being released.
    assert!(peak <= WINDOW + 1);
    Ok(())
}
