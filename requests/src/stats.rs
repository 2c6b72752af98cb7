//! The statistics of a batch of requests.

use std::time::{Duration, Instant};

/// The statistics of the requests of one batch.
///
/// [`BatchReport::stats`](crate::BatchReport::stats) and
/// [`Ordered::stats`](crate::Ordered::stats) return them, if they are asked for this
/// type: `report.stats::<RequestStats>()`. [`Requests`](crate::Requests) has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestStats {
    /// The number of attempts that were dispatched.
    pub attempts: u64,
    /// The number of attempts that ended with
    /// [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry).
    pub capacity_retries: u64,
    /// The number of attempts that ended with
    /// [`AttemptOutcome::Closed`](crate::AttemptOutcome::Closed).
    pub refused_as_closed: u64,
    /// The number of attempts that exceeded their
    /// [time-out](crate::Retry::attempt_timeout).
    pub timed_out: u64,
    /// The number of attempts that were [hedges](crate::Hedge).
    pub hedges: u64,
    /// The number of hedges that gave their items the result.
    pub hedges_won: u64,
    /// The number of hedges that did not: the other attempt won, or the hedge failed, or the item
    /// was given up. Hedges that still run are not counted.
    pub hedges_wasted: u64,
    /// The longest delay of the throttle after an attempt of this batch.
    pub peak_delay: Duration,
    /// The delay of the throttle after the last attempt of this batch that ended.
    pub current_delay: Duration,
    /// The maximum number of attempts that ran at the same time. An item that waits for another
    /// attempt does not count.
    pub peak_concurrency: usize,
    /// The time during which an attempt was ready, but the pace of the limiter did not allow it.
    pub waited_for_pace: Duration,
    /// The further time during which an attempt was ready, but the throttle of the limiter did not
    /// allow it.
    pub waited_for_throttle: Duration,
    /// The further time during which an attempt was ready, but a quota had no room, the service was
    /// closed, or as many attempts were in flight as the limiter allowed.
    pub waited_for_service: Duration,
}

impl RequestStats {
    /// Adds a wait at a rate limiter that its pace closed until `paced`, its throttle until
    /// `throttled`, and the service until `open`.
    pub(crate) fn waited(&mut self, mut since: Instant, until: Instant, ends: [Instant; 3]) {
        let waits = [
            &mut self.waited_for_pace,
            &mut self.waited_for_throttle,
            &mut self.waited_for_service,
        ];
        for (wait, end) in waits.into_iter().zip(ends) {
            let end = end.min(until);
            *wait += end.saturating_duration_since(since);
            since = since.max(end);
        }
    }

    /// Returns the waits for the pace, the throttle and the service since earlier statistics.
    pub(crate) fn waits_since(&self, before: &RequestStats) -> [Duration; 3] {
        [
            self.waited_for_pace - before.waited_for_pace,
            self.waited_for_throttle - before.waited_for_throttle,
            self.waited_for_service - before.waited_for_service,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_for_the_pace_first_and_for_the_service_last() {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let waits = |since, until| {
            let mut stats = RequestStats::default();
            stats.waited(at(since), at(until), [at(20), at(50), at(57)]);
            [stats.waited_for_pace, stats.waited_for_throttle, stats.waited_for_service]
                .map(|wait| wait.as_millis())
        };
        assert_eq!(waits(10, 60), [10, 30, 7], "what comes after it opens is no wait");
        assert_eq!(waits(10, 15), [5, 0, 0]);
        assert_eq!(waits(30, 45), [0, 15, 0]);
        assert_eq!(waits(55, 60), [0, 0, 2]);
        assert_eq!(waits(58, 60), [0, 0, 0]);
    }
}
