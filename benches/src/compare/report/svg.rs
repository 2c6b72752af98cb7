//! Draws the records as charts, with a bar per peer, from the fastest to the slowest.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Record;

const WIDTH: i32 = 720;
const BAR: i32 = 14;
const ROW: i32 = 20;
const HEADING: i32 = 28;
/// The start of the bars, right of the names.
const LEFT: i32 = 130;
/// The end of the longest bar, left of the numbers.
const RIGHT: i32 = 560;
/// The length of the longest bar in multiples of ours. Longer bars are cut.
const LONGEST: f64 = 10.0;

const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const OTHERS: RGBColor = RGBColor(0xb4, 0xbc, 0xc4);

/// Writes a chart per workload into `folder`. The file has the name of the workload.
pub(crate) fn write(folder: &Path, records: &[Record]) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for workload in records.chunk_by(|record, next| record.workload == next.workload) {
        let path = folder.join(format!("{}.svg", workload[0].workload));
        let comparisons: Vec<_> =
            workload.chunk_by(|record, next| record.threads == next.threads).collect();
        draw(&path, &comparisons).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn draw(path: &Path, comparisons: &[&[Record]]) -> Result<(), Box<dyn std::error::Error>> {
    let height = |comparison: &&[Record]| HEADING + ROW * comparison.len() as i32;
    let whole = comparisons.iter().map(height).sum::<i32>() + ROW / 2;
    let area = SVGBackend::new(path, (WIDTH as u32, whole as u32)).into_drawing_area();
    // Black text would be invisible on a dark page.
    area.fill(&WHITE)?;
    let text = |size: i32, horizontally| {
        let anchor = Pos::new(horizontally, VPos::Center);
        TextStyle::from(("sans-serif", size).into_font()).pos(anchor)
    };

    let mut y = 0;
    for comparison in comparisons {
        let mut comparison: Vec<_> = comparison.iter().collect();
        comparison.sort_by(|a, b| a.median_ns.total_cmp(&b.median_ns));
        let threads = match comparison[0].threads {
            1 => "one thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        let heading = format!("{}, {threads}: ns per item, ratio to ours", comparison[0].workload);
        area.draw(&Text::new(heading, (10, y + HEADING / 2), text(14, HPos::Left)))?;
        y += HEADING;

        let ours =
            comparison.iter().find_map(|record| record.ratio.map(|ratio| record.median_ns / ratio));
        let slowest = comparison.last().map_or(1.0, |record| record.median_ns);
        let longest = ours.map_or(slowest, |ours| slowest.min(ours * LONGEST));
        let x = |nanos: f64| {
            LEFT + (f64::from(RIGHT - LEFT) * nanos.min(longest) / longest).round() as i32
        };
        for record in comparison {
            let (top, middle) = (y + (ROW - BAR) / 2, y + ROW / 2);
            let colour = if record.peer == "ours" { OURS } else { OTHERS };
            let bar = [(LEFT, top), (x(record.median_ns), top + BAR)];
            area.draw(&Rectangle::new(bar, colour.filled()))?;
            // A line from the minimum to the maximum.
            let spread = vec![(x(record.min_ns), middle), (x(record.max_ns), middle)];
            area.draw(&PathElement::new(spread, BLACK))?;
            let name = record.peer.clone();
            area.draw(&Text::new(name, (LEFT - 8, middle), text(12, HPos::Right)))?;
            let ratio = record.ratio.map_or(String::new(), |ratio| format!(", {ratio:.2}"));
            let cut = if record.median_ns > longest { "… " } else { "" };
            let numbers = format!("{cut}{}{ratio}", super::table::time(record.median_ns));
            area.draw(&Text::new(numbers, (RIGHT + 8, middle), text(12, HPos::Left)))?;
            y += ROW;
        }
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::Extra;

    #[test]
    fn a_chart_per_workload_has_every_peer_and_every_number_of_threads() {
        let mut records = Vec::new();
        for (workload, threads) in [("tiny", 2), ("tiny", 4), ("solo", 1)] {
            for (peer, nanos) in [("rayon", 70.0), ("ours", 2.0), ("serial", 4.0)] {
                let extra = Extra::default();
                records.push(Record::new(workload, threads, peer, vec![nanos], &extra));
            }
            let from = records.len() - 3;
            Record::compare(&mut records[from..], "ours");
        }
        let folder = std::env::temp_dir().join(format!("compare-svg-{}", std::process::id()));
        write(&folder, &records).unwrap();
        let tiny = std::fs::read_to_string(folder.join("tiny.svg")).unwrap();
        let solo = std::fs::read_to_string(folder.join("solo.svg")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for text in ["2 threads", "4 threads", "serial", "rayon", "ours", "4.00, 2.00", "… 70.00"]
        {
            assert!(tiny.contains(text), "{text} is not in {tiny}");
        }
        assert!(solo.contains("one thread") && !solo.contains("tiny"));
    }
}
