//! The hot paths as symbols of their own, for `ci/asm.sh` to read. It is never run.

use reorder_ring::{
    Consumer, Delivery, Producer, Rejected, ReserveError, Ring, Ticket, TryNextError,
};

/// [`Ring::complete`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn probe_complete(ring: &Ring<u64>, ticket: Ticket, value: u64) -> Result<(), Rejected<u64>> {
    ring.complete(ticket, value)
}

/// [`Producer::reserve`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn probe_reserve(producer: &mut Producer<&Ring<u64>>) -> Result<Ticket, ReserveError> {
    producer.reserve()
}

/// [`Consumer::try_next`].
#[unsafe(no_mangle)]
#[inline(never)]
pub fn probe_try_next(consumer: &mut Consumer<&Ring<u64>>) -> Result<Delivery<u64>, TryNextError> {
    consumer.try_next()
}
