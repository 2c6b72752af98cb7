//! What a peer did in a workload.

use serde::Serialize;

use crate::compare::contest::Extra;

/// Times are nanoseconds per item.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) workload: String,
    pub(crate) threads: usize,
    pub(crate) peer: String,
    pub(crate) median_ns: f64,
    pub(crate) min_ns: f64,
    pub(crate) max_ns: f64,
    /// The peer's median by ours; nothing if ours is not there.
    pub(crate) ratio: Option<f64>,
    /// The median of the ratios of each round: what disturbs a round disturbs both.
    pub(crate) round_ratio: Option<f64>,
    /// The times by round.
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
    /// The most items that were pulled from the source and not yet on their way into the consumer's
    /// hands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak: Option<u64>,
    /// Until all items but the first had run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) others_us: Option<f64>,
    /// The size of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
}

impl Record {
    /// From the times of the rounds, of which there is at least one.
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
            bytes: extra.bytes,
        }
    }

    /// Sets the ratios of records of one contest.
    pub(crate) fn compare(records: &mut [Record], ours: &str) {
        let Some(ours) = records.iter().find(|record| record.peer == ours).cloned() else { return };
        for record in records {
            record.ratio = Some(record.median_ns / ours.median_ns);
            let by_ours = |(peer, ours): (&f64, &f64)| peer / ours;
            let (_, median, _) =
                spread(record.rounds.iter().zip(&ours.rounds).map(by_ours).collect());
            record.round_ratio = Some(median);
        }
    }
}

/// The least, the median and the most.
fn spread(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    (figures[0], figures[figures.len() / 2], figures[figures.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_disturbs_a_round_is_not_in_its_ratio() {
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
