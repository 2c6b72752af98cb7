//! Writes the records as JSON.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::Record;

/// Writes a list of records.
pub(crate) fn write(path: &Path, records: &[Record]) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(|error| failed(&error))?);
    serde_json::to_writer_pretty(&mut file, records).map_err(|error| failed(&error))?;
    writeln!(file).and_then(|()| file.flush()).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use serde_json::{Value, json};

    use super::*;
    use crate::compare::comparison::Extra;

    /// The program's users read these names.
    #[test]
    fn the_shape_is_what_was_promised() {
        let mut records = vec![
            Record::new("tiny", 2, "ours", vec![2.0, 1.0, 3.0], &Extra::default()),
            Record::new("tiny", 2, "rayon", vec![5.0, 6.0, 4.5], &Extra::default()),
        ];
        Record::compare(&mut records, "ours");
        let folder = std::env::temp_dir().join(format!("compare-json-{}", std::process::id()));
        write(&folder, &records).unwrap();
        let read: Value = serde_json::from_slice(&std::fs::read(&folder).unwrap()).unwrap();
        std::fs::remove_file(&folder).unwrap();
        assert_eq!(
            read,
            json!([
                {"workload": "tiny", "threads": 2, "peer": "ours",
                 "median_ns": 2.0, "min_ns": 1.0, "max_ns": 3.0, "ratio": 1.0, "round_ratio": 1.0},
                {"workload": "tiny", "threads": 2, "peer": "rayon",
                 "median_ns": 5.0, "min_ns": 4.5, "max_ns": 6.0, "ratio": 2.5, "round_ratio": 2.5},
            ])
        );
    }

    #[test]
    fn workloads_with_extra_figures_have_more_fields() {
        let mut latencies = Histogram::new(3).unwrap();
        (1..=1000).for_each(|micros| latencies.record(micros * 1000).unwrap());
        let extra = Extra {
            latencies: Some(latencies),
            batch: Some(64),
            peak: Some(1024),
            others: Some(64),
            bytes: Some(10),
            budget: Some((9, 12)),
        };
        let record = Record::new("concurrent-ns", 4, "ours", vec![1000.0], &extra);
        let read = serde_json::to_value(record).unwrap();
        assert_eq!(read["batches_per_s"], json!(1e9 / 64_000.0));
        for (name, about) in [("p50_us", 500.0), ("p99_us", 990.0), ("p999_us", 999.0)] {
            let percentile = read[name].as_f64().unwrap();
            assert!((percentile / about - 1.0).abs() < 0.01, "{name}: {percentile}");
        }
        assert_eq!(read["others_us"], json!(64.0));
        assert_eq!((&read["peak"], &read["bytes"]), (&json!(1024), &json!(10)));
        assert_eq!(read["peak_share"], json!(0.75));
    }
}
