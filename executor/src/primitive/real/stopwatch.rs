//! A stopwatch for intervals of microseconds, whose readings cost less than half of an `Instant`.
//!
//! On x86-64 it reads the time stamp counter, if the processor counts at a constant rate. Elsewhere
//! it is an `Instant`. A thread that moves to a processor with another count may read nonsense. So
//! the time only decides how work is divided.

use std::time::Instant;

use crate::primitive::whole_nanos;

/// Measures the time since its start.
#[derive(Clone, Copy)]
pub(crate) enum Stopwatch {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Ticks {
        started: u64,
        nanos_per_tick: u64,
    },
    Instant(Instant),
}

impl Stopwatch {
    #[inline]
    pub(crate) fn start() -> Stopwatch {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if let Some(nanos_per_tick) = counter::nanos_per_tick() {
            return Stopwatch::Ticks { started: counter::read(), nanos_per_tick };
        }
        Stopwatch::Instant(Instant::now())
    }

    /// Returns the nanoseconds since the start.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match *self {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Stopwatch::Ticks { started, nanos_per_tick } => {
                counter::nanos(counter::read().saturating_sub(started), nanos_per_tick)
            }
            Stopwatch::Instant(started) => whole_nanos(started.elapsed()),
        }
    }
}

/// A stopwatch that was started at an instant, and reads the clock.
impl From<Instant> for Stopwatch {
    fn from(started: Instant) -> Stopwatch {
        Stopwatch::Instant(started)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod counter {
    #![allow(unused_unsafe, reason = "newer compilers take these functions for safe")]

    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    /// The number of bits behind the point of a number of nanoseconds per tick.
    pub(super) const FRACTION: u32 = 24;
    /// The time in which the ticks are counted, once in a process.
    const CALIBRATION: Duration = Duration::from_micros(20);
    /// The number of times that the ticks are counted, if the readings are too far apart.
    const ATTEMPTS: u32 = 16;
    /// The error of the count is at most the count divided by this.
    const PRECISION: u64 = 20;

    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it only reads a counter.
        unsafe { _rdtsc() }
    }

    /// Returns the length of so many ticks in nanoseconds.
    #[inline]
    pub(super) fn nanos(ticks: u64, nanos_per_tick: u64) -> u64 {
        // 64 bits would do for 18 minutes, and a time slice of a caller lasts as long as its call.
        ((u128::from(ticks) * u128::from(nanos_per_tick)) >> FRACTION) as u64
    }

    /// Returns the length of a tick, or `None` if ticks differ in length.
    #[inline]
    pub(super) fn nanos_per_tick() -> Option<u64> {
        static NANOS_PER_TICK: OnceLock<Option<u64>> = OnceLock::new();
        *NANOS_PER_TICK.get_or_init(|| is_constant().then(calibrate).flatten())
    }

    /// Returns `true` if the processor says that its counter never changes its rate nor stops.
    fn is_constant() -> bool {
        const POWER_MANAGEMENT: u32 = 0x8000_0007;
        // SAFETY: every x86-64 processor has the instruction, and leaves up to the one it names.
        unsafe {
            __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT
                && __cpuid(POWER_MANAGEMENT).edx & 1 << 8 != 0
        }
    }

    /// A reading of the clock between two of the counter.
    struct Reading {
        at: Instant,
        /// The count in the middle.
        ticks: u64,
        /// The ticks from the first reading of the counter to the second.
        width: u64,
    }

    impl Reading {
        fn now() -> Reading {
            let before = read();
            let at = Instant::now();
            let width = read().saturating_sub(before);
            Reading { at, ticks: before.saturating_add(width / 2), width }
        }
    }

    /// Returns `None` if the counter stands still, is out of the range of any processor, or cannot
    /// be compared with the clock.
    ///
    /// A thread may be preempted between a reading of the clock and one of the counter, and the
    /// first readings of a process wait for memory. The length of a tick must not depend on that.
    fn calibrate() -> Option<u64> {
        (0..ATTEMPTS).find_map(|_| {
            let first = Reading::now();
            while first.at.elapsed() < CALIBRATION {
                std::hint::spin_loop();
            }
            let last = Reading::now();
            let ticks = last.ticks.checked_sub(first.ticks)?;
            length_of_tick(last.at - first.at, ticks, first.width.saturating_add(last.width))
        })
    }

    /// Returns the length of a tick if so many were counted in this time, `error` more or less.
    pub(super) fn length_of_tick(time: Duration, ticks: u64, error: u64) -> Option<u64> {
        let length =
            u64::try_from((time.as_nanos() << FRACTION).checked_div(ticks.into())?).ok()?;
        // From 100 MHz to 16 GHz.
        let is_possible = (1 << (FRACTION - 4)..10 << FRACTION).contains(&length);
        (is_possible && error <= ticks / PRECISION).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_measures_what_an_instant_measures() {
        // The thread may be preempted between the two readings, but hardly each time.
        let is_close = |_| {
            let (instant, stopwatch) = (Instant::now(), Stopwatch::start());
            std::thread::sleep(Duration::from_millis(2));
            let (ours, theirs) = (stopwatch.nanos(), whole_nanos(instant.elapsed()));
            ours.abs_diff(theirs) < theirs / 10
        };
        assert!((0..1000).any(is_close));
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[test]
    fn a_count_between_distant_readings_is_not_trusted() {
        let time = Duration::from_micros(20);
        assert_eq!(
            counter::length_of_tick(time, 40_000, 2_000),
            Some(1 << (counter::FRACTION - 1))
        );
        assert_eq!(counter::length_of_tick(time, 40_000, 2_001), None, "an error of 5 %");
        assert_eq!(counter::length_of_tick(time, 0, 0), None, "it stands still");
        assert_eq!(counter::length_of_tick(time, 1_000, 0), None, "50 MHz");
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[test]
    fn it_measures_days() {
        const DAY: u64 = 24 * 60 * 60;
        // At 4 GHz, a tick takes a quarter of a nanosecond.
        let nanos = counter::nanos(100 * DAY * 4_000_000_000, 1 << (counter::FRACTION - 2));
        assert_eq!(nanos, 100 * DAY * 1_000_000_000);
    }
}
