//! Adapts the rate of attempts to the outcomes of earlier attempts.
//!
//! The algorithm is additive increase, multiplicative decrease, after Chiu and Jain, "Analysis of
//! the increase and decrease algorithms for congestion avoidance in computer networks" (1989). It
//! acts on the delay between two dispatches. The outcomes `Retry` and `Closed` multiply the delay.
//! An outcome `Done` shortens it by a step.
//!
//! All attempts that were in flight when the service ran out of capacity say the same thing. So an
//! outcome counts only if its attempt was dispatched after the last back-off. Congestion control
//! counts one loss per round trip in the same way.

use std::fmt;
use std::time::Duration;

/// Adapts the delay between two dispatches of a [`RateLimiter`](crate::RateLimiter) to the outcomes
/// of attempts.
///
/// The delay begins at the floor.
///
/// * [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry) and
///   [`AttemptOutcome::Closed`](crate::AttemptOutcome::Closed) multiply it, add at least one step,
///   and stop at the ceiling. So a server that bans its clients gets fewer requests after the ban.
/// * [`AttemptOutcome::Done`](crate::AttemptOutcome::Done) shortens it by a step, down to the
///   floor.
/// * The outcome of an attempt that was dispatched before the last back-off changes nothing.
///
/// ```
/// use std::time::Duration;
/// use reorder_requests::Throttle;
///
/// let millis = Duration::from_millis;
/// let throttle = Throttle::new(Duration::ZERO, millis(2000), millis(5));
/// let throttle = throttle.multiplier(1.5).jitter(0.1);
/// throttle.check()?;
/// let stuck = Throttle::new(millis(10), millis(10), millis(1)).check().unwrap_err();
/// let text = stuck.to_string();
/// assert!(text.starts_with("a throttle from 10ms to 10ms never backs off"));
/// # Ok::<(), reorder_requests::ThrottleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it is a setting"]
pub struct Throttle {
    floor: Duration,
    ceiling: Duration,
    step: Duration,
    multiplier: f64,
    jitter: f64,
}

impl Throttle {
    /// Returns a throttle with a delay between `floor` and `ceiling`, which each success shortens
    /// by `step`. It doubles the delay when it backs off, and has no jitter.
    pub fn new(floor: Duration, ceiling: Duration, step: Duration) -> Throttle {
        Throttle { floor, ceiling, step, multiplier: 2.0, jitter: 0.0 }
    }

    /// Sets the factor of a back-off, above 1.
    pub fn multiplier(mut self, multiplier: f64) -> Throttle {
        self.multiplier = multiplier;
        self
    }

    /// Sets the jitter, from 0 to 1. Each delay is lengthened by a random part of itself: at most
    /// `jitter * delay`. So clients that were refused together do not come back together.
    pub fn jitter(mut self, jitter: f64) -> Throttle {
        self.jitter = jitter;
        self
    }

    /// Checks that the throttle backs off and recovers.
    /// [`RateLimiterBuilder::build`](crate::RateLimiterBuilder::build) calls this.
    ///
    /// # Errors
    ///
    /// [`ThrottleError`] if the throttle would never back off, or never recover.
    pub fn check(&self) -> Result<(), ThrottleError> {
        let Throttle { floor, ceiling, step, multiplier, jitter } = *self;
        if ceiling <= floor {
            return Err(ThrottleError::Ceiling { floor, ceiling });
        }
        if step.is_zero() {
            return Err(ThrottleError::Step);
        }
        if !(multiplier.is_finite() && multiplier > 1.0) {
            return Err(ThrottleError::Multiplier { multiplier });
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(ThrottleError::Jitter { jitter });
        }
        Ok(())
    }

    pub(crate) fn floor(&self) -> Duration {
        self.floor
    }

    /// Returns the delay within the bounds of the throttle.
    pub(crate) fn clamped(&self, delay: Duration) -> Duration {
        delay.clamp(self.floor, self.ceiling)
    }

    pub(crate) fn longer(&self, delay: Duration) -> Duration {
        stretched(delay, self.multiplier).max(delay.saturating_add(self.step)).min(self.ceiling)
    }

    pub(crate) fn shorter(&self, delay: Duration) -> Duration {
        delay.saturating_sub(self.step).max(self.floor)
    }

    /// Returns the delay with its jitter, for a `chance` from 0 to 1.
    pub(crate) fn jittered(&self, delay: Duration, chance: f64) -> Duration {
        stretched(delay, 1.0 + self.jitter * chance)
    }

    pub(crate) fn has_jitter(&self) -> bool {
        self.jitter > 0.0
    }
}

fn stretched(delay: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// The reason why a [`Throttle`] would not work. [`Throttle`] has an example.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ThrottleError {
    /// The ceiling is not above the floor: it would never back off.
    Ceiling {
        /// The floor that was given.
        floor: Duration,
        /// The ceiling that was given.
        ceiling: Duration,
    },
    /// The step is zero: it would never recover.
    Step,
    /// The multiplier is not a finite number above 1: the throttle would not back off, or would
    /// back off to the ceiling in one step.
    Multiplier {
        /// The multiplier that was given.
        multiplier: f64,
    },
    /// The jitter is not a number from 0 to 1.
    Jitter {
        /// The jitter that was given.
        jitter: f64,
    },
}

impl fmt::Display for ThrottleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThrottleError::Ceiling { floor, ceiling } => write!(
                f,
                "a throttle from {floor:?} to {ceiling:?} never backs off: the ceiling must be \
                 above the floor"
            ),
            ThrottleError::Step => {
                f.write_str("a throttle with a step of 0 never recovers: it must be above 0")
            }
            ThrottleError::Multiplier { multiplier } => write!(
                f,
                "a throttle's multiplier of {multiplier} does not back off: it must be a finite \
                 number above 1"
            ),
            ThrottleError::Jitter { jitter } => {
                write!(f, "a throttle's jitter must be a number from 0 to 1, not {jitter}")
            }
        }
    }
}

impl std::error::Error for ThrottleError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_would_never_back_off_or_recover_is_refused() {
        let fair = Throttle::new(MS, 10 * MS, MS);
        assert_eq!(fair.check(), Ok(()));
        assert_eq!(Throttle::new(Duration::ZERO, MS, MS).check(), Ok(()));
        assert_eq!(Throttle::new(Duration::ZERO, Duration::MAX, Duration::MAX).check(), Ok(()));
        let flat = Throttle::new(MS, MS, MS).check();
        assert_eq!(flat, Err(ThrottleError::Ceiling { floor: MS, ceiling: MS }));
        assert_eq!(Throttle::new(MS, 2 * MS, Duration::ZERO).check(), Err(ThrottleError::Step));
        for multiplier in [1.0, 0.5, 0.0, -2.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let error = fair.multiplier(multiplier).check();
            assert!(matches!(error, Err(ThrottleError::Multiplier { .. })), "{multiplier}");
        }
        for jitter in [-0.1, 1.1, f64::INFINITY, f64::NAN] {
            let error = fair.jitter(jitter).check();
            assert!(matches!(error, Err(ThrottleError::Jitter { .. })), "{jitter}");
        }
        assert_eq!(fair.multiplier(f64::MAX).jitter(1.0).check(), Ok(()));
    }

    #[test]
    fn it_backs_off_from_nothing_and_stays_within_its_bounds() {
        let throttle = Throttle::new(Duration::ZERO, 10 * MS, MS).multiplier(3.0);
        let mut delay = throttle.floor();
        let mut seen = Vec::new();
        for _ in 0..4 {
            delay = throttle.longer(delay);
            seen.push(delay.as_millis());
        }
        assert_eq!(seen, [1, 3, 9, 10]);
        for _ in 0..12 {
            delay = throttle.shorter(delay);
        }
        assert_eq!(delay, Duration::ZERO);
        let vast = Throttle::new(MS, Duration::MAX, MS).multiplier(f64::MAX).jitter(1.0);
        assert_eq!(vast.longer(MS), Duration::MAX);
        assert_eq!(vast.jittered(Duration::MAX, 1.0), Duration::MAX);
        assert_eq!(vast.jittered(MS, 1.0), 2 * MS);
    }
}
