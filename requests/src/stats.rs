//! The statistics of a batch of requests.

use std::time::Duration;

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
    /// The further time during which an attempt was ready, but a quota had no room. If several
    /// limits kept it back, here and below, the one counts that was to open last when the batch
    /// last asked.
    pub waited_for_quota: Duration,
    /// The further time during which an attempt was ready, but the service was closed, or its
    /// number of [remaining](crate::RateLimiter::set_remaining) requests was 0.
    pub waited_for_closing: Duration,
    /// The further time during which an attempt was ready, but as many attempts were in flight as
    /// the limiter allowed.
    pub waited_for_in_flight: Duration,
    /// The waits of [`Retry`](crate::Retry), added up over the items. A wait counts in full when it
    /// begins.
    pub waited_for_retry: Duration,
}

impl RequestStats {
    /// Returns the differences of the counts that a limiter adds up over its batches. The other
    /// fields are 0.
    pub(crate) fn since(&self, before: &RequestStats) -> RequestStats {
        RequestStats {
            timed_out: self.timed_out - before.timed_out,
            hedges: self.hedges - before.hedges,
            hedges_won: self.hedges_won - before.hedges_won,
            hedges_wasted: self.hedges_wasted - before.hedges_wasted,
            waited_for_pace: self.waited_for_pace - before.waited_for_pace,
            waited_for_throttle: self.waited_for_throttle - before.waited_for_throttle,
            waited_for_quota: self.waited_for_quota - before.waited_for_quota,
            waited_for_closing: self.waited_for_closing - before.waited_for_closing,
            waited_for_in_flight: self.waited_for_in_flight - before.waited_for_in_flight,
            waited_for_retry: self.waited_for_retry - before.waited_for_retry,
            ..RequestStats::default()
        }
    }
}
