//! What each worker is at, for those who ask.
//!
//! A worker writes a few words of its own, and reads no clock for it. They order nothing, so models need not see
//! them. Read while the worker writes, they may not belong together; those of one that is stuck do.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

pub(crate) struct Seats {
    epoch: Instant,
    seats: Box<[CachePadded<Seat>]>,
}

#[derive(Default)]
struct Seat {
    /// The call that its worker is at, or 0.
    call: AtomicU64,
    first: AtomicU64,
    /// How many items it runs, or 0 while it asks a source.
    count: AtomicU64,
    /// Since when, in nanoseconds from the epoch.
    since: AtomicU64,
}

/// One worker that is at a call.
pub(crate) struct Occupied {
    pub(crate) worker: usize,
    pub(crate) call: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) time: Duration,
}

impl Seats {
    pub(crate) fn new(workers: usize, epoch: Instant) -> Seats {
        Seats { epoch, seats: (0..workers).map(|_| CachePadded::default()).collect() }
    }

    /// Notes that a worker has begun with so many items, or with the source of the call.
    pub(crate) fn take(&self, worker: usize, call: u64, first: u64, count: u64, since: Instant) {
        let seat = &self.seats[worker];
        let since = since.saturating_duration_since(self.epoch).as_nanos() as u64;
        // ORDERING: seat:take: Relaxed; told to those who ask, nothing follows from it.
        seat.first.store(first, Relaxed);
        seat.count.store(count, Relaxed);
        seat.since.store(since, Relaxed);
        seat.call.store(call, Relaxed);
    }

    pub(crate) fn leave(&self, worker: usize) {
        // ORDERING: seat:leave: Relaxed; as `seat:take`.
        self.seats[worker].call.store(0, Relaxed);
    }

    pub(crate) fn occupied(&self, now: Instant) -> Vec<Occupied> {
        let now = now.saturating_duration_since(self.epoch);
        let look = |(worker, seat): (usize, &CachePadded<Seat>)| {
            // ORDERING: seat:look: Relaxed; as `seat:take`.
            let [call, first, count, since] =
                [&seat.call, &seat.first, &seat.count, &seat.since].map(|word| word.load(Relaxed));
            let time = now.saturating_sub(Duration::from_nanos(since));
            (call != 0).then_some(Occupied { worker, call, first, count, time })
        };
        self.seats.iter().enumerate().filter_map(look).collect()
    }
}
