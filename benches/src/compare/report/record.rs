//! The results of a peer in a workload.

use serde::Serialize;

use crate::compare::comparison::Extra;

/// The results of a peer in a workload. Times are nanoseconds per item.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) workload: String,
    pub(crate) threads: usize,
    pub(crate) peer: String,
    pub(crate) median_ns: f64,
    pub(crate) min_ns: f64,
    pub(crate) max_ns: f64,
    /// The median of the peer divided by ours. `None` if there is no record of ours.
    pub(crate) ratio: Option<f64>,
    /// The median of the ratios of the rounds. A disturbance of a round affects both times.
    pub(crate) round_ratio: Option<f64>,
    /// The times of the rounds.
    #[serde(skip)]
    rounds: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batches_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p999_us: Option<f64>,
    /// The largest number of items that were pulled from the source and not yet delivered. One
    /// result on its way to the consumer does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak: Option<u64>,
    /// The microseconds until all items but the first had run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) others_us: Option<f64>,
    /// The lines of code of the adapter, for the usual tools of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lines: Option<usize>,
    /// The size of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// The peak of the allocator in the round in which it was highest, as a share of the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_share: Option<f64>,
}

impl Record {
    /// Creates a record from the times of the rounds, of which there is at least one.
    pub(crate) fn new(
        workload: &str,
        threads: usize,
        peer: &str,
        rounds: Vec<f64>,
        extra: &Extra,
    ) -> Record {
        let (min_ns, median_ns, max_ns) = spread(rounds.clone());
        let percentile = |quantile| {
            extra.latencies.as_ref().map(|all| all.value_at_quantile(quantile) as f64 / 1000.0)
        };
        Record {
            workload: workload.to_owned(),
            threads,
            peer: peer.to_owned(),
            median_ns,
            min_ns,
            max_ns,
            ratio: None,
            round_ratio: None,
            rounds,
            batches_per_s: extra.batch.map(|items| 1e9 / (median_ns * items as f64)),
            p50_us: percentile(0.5),
            p99_us: percentile(0.99),
            p999_us: percentile(0.999),
            peak: extra.peak,
            others_us: extra.others.map(|items| median_ns * items as f64 / 1000.0),
            lines: None,
            bytes: extra.bytes,
            peak_share: extra.budget.map(|(peak, budget)| peak as f64 / budget as f64),
        }
    }

    /// Sets the ratios of the records of one comparison.
    pub(crate) fn compare(records: &mut [Record], ours: &str) {
        let Some(ours) = records.iter().find(|record| record.peer == ours).cloned() else { return };
        for record in records {
            record.ratio = Some(record.median_ns / ours.median_ns);
            let ratio = |(peer, ours): (&f64, &f64)| peer / ours;
            let (_, median, _) =
                spread(record.rounds.iter().zip(&ours.rounds).map(ratio).collect());
            record.round_ratio = Some(median);
        }
    }
}

/// Returns the minimum, the median and the maximum.
fn spread(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    (figures[0], figures[figures.len() / 2], figures[figures.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_does_not_change_its_ratio() {
        let record = |peer, rounds| Record::new("tiny", 2, peer, rounds, &Extra::default());
        let mut records =
            [record("rayon", vec![2.0, 20.0, 2.4]), record("ours", vec![1.0, 10.0, 12.0])];
        Record::compare(&mut records, "ours");
        let [rayon, ours] = records;
        assert_eq!((rayon.median_ns, rayon.min_ns, rayon.max_ns), (2.4, 2.0, 20.0));
        assert_eq!((rayon.ratio, rayon.round_ratio), (Some(0.24), Some(2.0)));
        assert_eq!((ours.ratio, ours.round_ratio), (Some(1.0), Some(1.0)));
    }
}
