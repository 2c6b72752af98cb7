//! Prints the records as a table.

use std::fmt::Write;

use super::Record;

/// Prints the records of one comparison.
pub(crate) fn print(records: &[Record]) {
    print!("{}", table(records));
}

fn table(records: &[Record]) -> String {
    let Some(first) = records.first() else { return String::new() };
    let threads = if first.threads == 1 { "thread" } else { "threads" };
    let mut text = format!("\n{}, {} {threads}; ns per item\n", first.workload, first.threads);
    let columns = [
        column(records, "peer", |record| Some(record.peer.clone())),
        column(records, "median", |record| Some(time(record.median_ns))),
        column(records, "min", |record| Some(time(record.min_ns))),
        column(records, "max", |record| Some(time(record.max_ns))),
        column(records, "ratio", |record| record.ratio.map(|ratio| format!("{ratio:.2}"))),
        column(records, "by round", |record| record.round_ratio.map(|ratio| format!("{ratio:.2}"))),
        column(records, "batches/s", |record| record.batches_per_s.map(|all| format!("{all:.0}"))),
        column(records, "p50 us", |record| record.p50_us.map(|us| format!("{us:.1}"))),
        column(records, "p99 us", |record| record.p99_us.map(|us| format!("{us:.1}"))),
        column(records, "p99.9 us", |record| record.p999_us.map(|us| format!("{us:.1}"))),
        column(records, "peak", |record| record.peak.map(|peak| peak.to_string())),
        column(records, "others us", |record| record.others_us.map(|us| format!("{us:.0}"))),
        column(records, "lines", |record| record.lines.map(|lines| lines.to_string())),
        column(records, "bytes", |record| record.bytes.map(|bytes| bytes.to_string())),
        column(records, "peak/budget", |record| {
            record.peak_share.map(|share| format!("{share:.3}"))
        }),
    ];
    for row in 0..=records.len() {
        for (number, cells) in columns.iter().flatten().enumerate() {
            let width = cells.iter().map(String::len).max().unwrap_or(0);
            let cell = &cells[row];
            // The names are aligned to the left, the numbers to the right.
            _ = match number {
                0 => write!(text, "  {cell:width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

/// Returns a heading and its cells, or `None` if all cells are empty.
fn column(
    records: &[Record],
    heading: &str,
    cell: impl Fn(&Record) -> Option<String>,
) -> Option<Vec<String>> {
    let cells: Vec<_> = records.iter().map(cell).collect();
    cells.iter().any(Option::is_some).then(|| {
        let heading = [heading.to_owned()].into_iter();
        heading.chain(cells.into_iter().map(Option::unwrap_or_default)).collect()
    })
}

/// Formats a time with a precision that fits its size.
pub(super) fn time(nanos: f64) -> String {
    match nanos {
        ..100.0 => format!("{nanos:.2}"),
        ..10_000.0 => format!("{nanos:.1}"),
        _ => format!("{nanos:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::Extra;

    #[test]
    fn columns_are_aligned_and_empty_columns_are_left_out() {
        let extra = Extra { peak: Some(8), ..Extra::default() };
        let mut records = [
            Record::new("bounded", 2, "ours", vec![6.0], &extra),
            Record::new("bounded", 2, "serial", vec![1200.0, 1300.0], &Extra::default()),
        ];
        Record::compare(&mut records, "ours");
        assert_eq!(
            table(&records),
            "\nbounded, 2 threads; ns per item\n\
             \x20 peer    median     min     max   ratio  by round  peak\n\
             \x20 ours      6.00    6.00    6.00    1.00      1.00     8\n\
             \x20 serial  1300.0  1200.0  1300.0  216.67    200.00      \n"
        );
    }
}
