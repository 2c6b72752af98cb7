//! The plan of a run, which its seed decides.

use std::time::Duration;

use fastrand::Rng;

use crate::in_process::Faults;
use crate::machine::Watermark;

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) items: u64,
    pub(super) window: usize,
    pub(super) items_per_message: usize,
    pub(super) attempts: u32,
    pub(super) ask_again_after: Duration,
    pub(super) lease: Duration,
    pub(super) in_sink: bool,
    /// The consumer commits after this number of deliveries.
    pub(super) commit_every: u64,
    pub(super) workers: usize,
    pub(super) concurrency: usize,
    pub(super) heartbeat: Duration,
    pub(super) acknowledgement_wait: Duration,
    pub(super) max_message: usize,
    pub(super) faults: Faults,
    /// The numbers of these events, before the run becomes calm.
    pub(super) owner_crashes: u32,
    pub(super) owner_rivals: u32,
    pub(super) owner_pauses: u32,
    pub(super) worker_crashes: u32,
    pub(super) worker_stops: u32,
    pub(super) losses_of_all: u32,
    /// Some items fail, some always, some kill their worker.
    pub(super) with_failures: bool,
    /// Some requests take seconds.
    pub(super) slow_network: bool,
    /// Some jobs take longer than the acknowledgement wait.
    pub(super) slow_jobs: bool,
}

impl Plan {
    pub(super) fn random(seed: u64) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let ms = Duration::from_millis;
        // A third of the runs has an honest engine. Each fault is absent in half of the others.
        let is_honest = rng.u8(..3) == 0;
        let mut chance = |most: f64| if is_honest || rng.bool() { 0.0 } else { rng.f64() * most };
        let faults = Faults {
            lose: chance(0.2),
            fail: chance(0.2),
            double: chance(0.2),
            delay: chance(0.5),
            longest_delay: ms(20_000),
            swap: chance(0.5),
            truncate: chance(0.1),
            forge: chance(0.1),
        };
        let some = |rng: &mut Rng, most: u32| if rng.bool() { 0 } else { rng.u32(1..=most) };
        let with_failures = rng.bool();
        Plan {
            seed,
            items: rng.u64(..40),
            window: 1 << rng.u32(..5) | rng.usize(..2),
            items_per_message: rng.usize(1..6),
            attempts: if with_failures { rng.u32(1..5) } else { 10_000 },
            ask_again_after: ms(rng.u64(1_000..60_000)),
            lease: ms(rng.u64(500..10_000)),
            in_sink: rng.bool(),
            commit_every: if rng.bool() { 1 } else { rng.u64(1..4) },
            workers: rng.usize(1..4),
            concurrency: rng.usize(1..4),
            heartbeat: ms(rng.u64(500..20_000)),
            acknowledgement_wait: ms(rng.u64(1_000..30_000)),
            max_message: if rng.u8(..4) == 0 { rng.usize(90..200) } else { 1 << 20 },
            faults,
            owner_crashes: some(&mut rng, 6),
            owner_rivals: some(&mut rng, 3),
            owner_pauses: some(&mut rng, 3),
            worker_crashes: some(&mut rng, 6),
            worker_stops: some(&mut rng, 2),
            losses_of_all: if is_honest { 0 } else { some(&mut rng, 3) },
            with_failures,
            slow_network: rng.u8(..4) == 0,
            slow_jobs: rng.u8(..4) == 0,
        }
    }

    /// Returns `true` if the engine keeps every message, and delivers no other.
    pub(super) fn is_honest(&self) -> bool {
        let calm = Faults { longest_delay: self.faults.longest_delay, ..Faults::default() };
        self.faults == calm && self.losses_of_all == 0
    }

    pub(super) fn watermark(&self, sink: u64) -> Watermark {
        if self.in_sink { Watermark::InSink(sink) } else { Watermark::InRecord }
    }
}
