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
    /// From the samples, of which there is at least one. They are sorted here.
    pub(crate) fn new(
        workload: &str,
        threads: usize,
        peer: &str,
        nanos: &mut [f64],
        extra: &Extra,
    ) -> Record {
        nanos.sort_by(f64::total_cmp);
        let median_ns = nanos[nanos.len() / 2];
        let percentile = |quantile| {
            extra.latencies.as_ref().map(|all| all.value_at_quantile(quantile) as f64 / 1000.0)
        };
        Record {
            workload: workload.to_owned(),
            threads,
            peer: peer.to_owned(),
            median_ns,
            min_ns: nanos[0],
            max_ns: nanos[nanos.len() - 1],
            ratio: None,
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
        let ours = records.iter().find(|record| record.peer == ours).map(|record| record.median_ns);
        for record in records {
            record.ratio = ours.map(|ours| record.median_ns / ours);
        }
    }
}
