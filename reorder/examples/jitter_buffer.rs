//! A jitter buffer: numbered packets arrive early, late, twice or never, and are played in order.
//!
//! ```sh
//! cargo run -p reorder-ring --example jitter_buffer
//! ```
//!
//! The index of a packet is its number, counted from the first packet. So the program keeps no
//! tickets. It gives up a packet that is missing for three ticks. A number that is far from the
//! others means that the sender has started again. Then a new batch begins.

use reorder_ring::{Gap, Reason, Ring};

/// The numbers of the packets that arrive in each tick. They have 16 bits, and wrap.
const ARRIVALS: [&[u16]; 8] =
    [&[65_534, 0], &[65_535, 0], &[3], &[2], &[40], &[1], &[7_000, 7_002], &[7_001]];
/// The number of ticks after which a missing packet is given up.
const PATIENCE: u32 = 3;
/// A number that is 1000 or more away from the next one belongs to a new numbering.
const FAR: u16 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ring = Ring::with_capacity(8)?;
    let mut batch = ring.open()?;
    let (mut first, mut waited) = (65_534_u16, 0);
    let (mut played, mut refused) = (Vec::new(), Vec::new());

    for arrivals in ARRIVALS {
        for &number in arrivals {
            let mut ahead = number.wrapping_sub(first).wrapping_sub(batch.reserved() as u16) as i16;
            if ahead.unsigned_abs() >= FAR {
                drop(batch);
                batch = ring.open()?;
                (first, ahead) = (number, 0);
            }
            let Some(index) = batch.reserved().checked_add_signed(ahead.into()) else { continue };
            if let Err(error) = batch.reserve_through(index) {
                println!("{number} comes too early: {error}");
            }
            if let Err(rejected) = batch.complete_index(index, number) {
                refused.push((number, rejected.reason));
            }
        }
        waited += 1;
        if waited >= PATIENCE && batch.evict_head().is_ok() {
            println!("index {} is given up", batch.delivered());
        }
        for delivery in batch.drain_ready() {
            played.push(delivery.outcome);
            waited = 0;
        }
    }
    println!("played {played:?}, refused {refused:?}");
    assert_eq!(played[..5], [Ok(65_534), Ok(65_535), Ok(0), Err(Gap::Evicted), Ok(2)]);
    assert_eq!(played[5..], [Ok(3), Ok(7_000), Ok(7_001), Ok(7_002)]);
    let expected = [(0, Reason::Duplicate), (40, Reason::Unreserved), (1, Reason::Settled)];
    assert_eq!(refused, expected);
    Ok(())
}
