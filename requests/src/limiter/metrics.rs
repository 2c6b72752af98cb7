//! Publishes the statistics of a limiter by the crate `metrics`.
//!
//! The recorder is code of the user. So it runs without locks, and its panics are caught. Threads
//! may publish in any order, because each adds the difference of two statistics.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Label, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::limiter::LimiterStats;
use reorder_executor::dispatch::catch_panic;

type Count = fn(&LimiterStats) -> u64;

/// The key and the value of a label.
type Pair = (&'static str, &'static str);

const ATTEMPTS: &str = "reorder_requests_attempts_total";
const ENDED: &str = "reorder_requests_ended_total";
const TIMED_OUT: &str = "reorder_requests_timed_out_total";
const HEDGES: &str = "reorder_requests_hedges_total";
const HEDGES_ENDED: &str = "reorder_requests_hedges_ended_total";
const CLOSINGS: &str = "reorder_requests_closings_total";
const WAITED: &str = "reorder_requests_waited_milliseconds_total";
const IN_FLIGHT: &str = "reorder_requests_in_flight";

const DESCRIPTIONS: [(&str, Unit, &str); 7] = [
    (ATTEMPTS, Unit::Count, "attempts that were dispatched"),
    (ENDED, Unit::Count, "attempts that ended, by answer"),
    (TIMED_OUT, Unit::Count, "attempts that exceeded their time-out"),
    (HEDGES, Unit::Count, "hedges that were dispatched"),
    (HEDGES_ENDED, Unit::Count, "hedges that ended, by result"),
    (CLOSINGS, Unit::Count, "closings of the service"),
    (WAITED, Unit::Milliseconds, "waits of batches and of retries, by cause"),
];

/// The counters: the name, a label, and the count. Sums of milliseconds are rounded down, so that
/// their differences add up.
const COUNTERS: [(&str, Option<Pair>, Count); 17] = [
    (ATTEMPTS, None, |stats| stats.attempts),
    (ENDED, Some(("answer", "done")), |stats| stats.done),
    (ENDED, Some(("answer", "failed")), |stats| stats.failed),
    (ENDED, Some(("answer", "retry")), |stats| stats.capacity_retries),
    (ENDED, Some(("answer", "closed")), |stats| stats.refused_as_closed),
    (ENDED, Some(("answer", "none")), |stats| stats.unanswered),
    (TIMED_OUT, None, |stats| stats.timed_out),
    (HEDGES, None, |stats| stats.hedges),
    (HEDGES_ENDED, Some(("result", "won")), |stats| stats.hedges_won),
    (HEDGES_ENDED, Some(("result", "wasted")), |stats| stats.hedges_wasted),
    (CLOSINGS, None, |stats| stats.closings),
    (WAITED, Some(("cause", "pace")), |stats| millis(stats.waited_for_pace)),
    (WAITED, Some(("cause", "throttle")), |stats| millis(stats.waited_for_throttle)),
    (WAITED, Some(("cause", "quota")), |stats| millis(stats.waited_for_quota)),
    (WAITED, Some(("cause", "closing")), |stats| millis(stats.waited_for_closing)),
    (WAITED, Some(("cause", "in_flight")), |stats| millis(stats.waited_for_in_flight)),
    (WAITED, Some(("cause", "retry")), |stats| millis(stats.waited_for_retry)),
];

/// The counters and the gauge of a limiter.
pub(super) struct Metrics {
    counters: Vec<(Counter, Count)>,
    in_flight: Gauge,
}

impl Metrics {
    /// Registers the counters and the gauge of a limiter with this name.
    pub(super) fn new(name: Arc<str>) -> Metrics {
        for (counter, unit, description) in DESCRIPTIONS {
            describe_counter!(counter, unit, description);
        }
        describe_gauge!(IN_FLIGHT, Unit::Count, "attempts that have not ended");
        let limiter = Label::new("limiter", name);
        let counters = COUNTERS.map(|(counter, label, count)| {
            let label = label.map(|(key, value)| Label::from_static_parts(key, value));
            let labels: Vec<Label> = [limiter.clone()].into_iter().chain(label).collect();
            (counter!(counter, labels), count)
        });
        let in_flight = gauge!(IN_FLIGHT, vec![limiter]);
        Metrics { counters: counters.into(), in_flight }
    }

    /// Publishes the difference of two statistics.
    pub(super) fn publish(&self, old: &LimiterStats, new: &LimiterStats) {
        catch_panic(|| {
            for (counter, count) in &self.counters {
                let (old, new) = (count(old), count(new));
                if old < new {
                    counter.increment(new - old);
                }
            }
            if old.in_flight != new.in_flight {
                self.in_flight.increment(new.in_flight as f64 - old.in_flight as f64);
            }
        });
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
