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

    /// Returns the nanoseconds since the start, up to some seconds.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match *self {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Stopwatch::Ticks { started, nanos_per_tick } => {
                let ticks = counter::read().saturating_sub(started);
                ticks.saturating_mul(nanos_per_tick) >> counter::FRACTION
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

    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it only reads a counter.
        unsafe { _rdtsc() }
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

    /// Returns `None` if the counter stands still or is out of the range of any processor.
    fn calibrate() -> Option<u64> {
        let (started, first) = (Instant::now(), read());
        while started.elapsed() < CALIBRATION {
            std::hint::spin_loop();
        }
        let (nanos, ticks) = (started.elapsed().as_nanos(), read().checked_sub(first)?);
        let length = u64::try_from((nanos << FRACTION).checked_div(ticks.into())?).ok()?;
        // From 100 MHz to 16 GHz.
        (1 << (FRACTION - 4)..10 << FRACTION).contains(&length).then_some(length)
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
}
