//! The table of counts, as `loom-tests/lines.txt` has it.

/// The numbers of threads.
pub(crate) const THREADS: [usize; 6] = [2, 4, 8, 16, 32, 64];

const HEADER: &str = "\
# Cache lines that move between cores, per operation, on a simulated machine with 2 to 64 threads.
# `ci/lines.sh --renew` writes this.
";

/// Transfers per operation, for each number of threads.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) counts: [f64; THREADS.len()],
}

/// Returns the text of the table.
pub(crate) fn write(rows: &[Row]) -> String {
    let cells = |cells: [String; THREADS.len()]| cells.map(|cell| format!("{cell:>9}")).concat();
    let heads = cells(THREADS.map(|threads| threads.to_string()));
    let rows = rows.iter().map(|Row { name, counts }| {
        format!("{name:<32}{}\n", cells(counts.map(|count| format!("{count:.2}"))))
    });
    format!("{HEADER}{:<32}{heads}\n{}", "# threads", rows.collect::<String>())
}

/// Reads the text of a table.
///
/// # Panics
///
/// If a line has too few numbers.
pub(crate) fn read(text: &str) -> Vec<Row> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, counts) = words.split_at(words.len().saturating_sub(THREADS.len()));
        let counts: Vec<f64> = counts.iter().map(|count| count.parse().expect(line)).collect();
        Row { name: name.join(" "), counts: counts.try_into().expect(line) }
    });
    rows.collect()
}

/// Returns a message for each count that is larger than its limit, and for each row without one.
///
/// Another order of the threads changes the counts by up to a tenth, and of streams by up to a
/// fifth. So each may be a quarter larger.
pub(crate) fn grown(limits: &[Row], now: &[Row]) -> Vec<String> {
    let mut messages = Vec::new();
    for Row { name, counts } in now {
        let Some(limit) = limits.iter().find(|limit| limit.name == *name) else {
            messages.push(format!("{name} has no limit"));
            continue;
        };
        for ((count, limit), threads) in counts.iter().zip(limit.counts).zip(THREADS) {
            if *count > limit * 1.25 + 0.05 {
                messages
                    .push(format!("{name}, {threads} threads: {count:.2}, GREW from {limit:.2}"));
            }
        }
    }
    let is_counted = |limit: &&Row| now.iter().any(|row| row.name == limit.name);
    let lost = limits.iter().filter(|limit| !is_counted(limit));
    messages.extend(lost.map(|limit| format!("{} is no longer counted", limit.name)));
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, last: f64) -> Row {
        Row { name: name.to_owned(), counts: [0.5, 1.0, 2.0, 4.0, 8.0, last] }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let rows = [row("ring: an item", 16.25), row("map: an item", 1397.5)];
        assert_eq!(read(&write(&rows)), rows);
    }

    #[test]
    fn growth_is_named() {
        let grown = grown(&[row("a", 16.0)], &[row("a", 20.06)]);
        assert_eq!(grown, ["a, 64 threads: 20.06, GREW from 16.00"]);
    }

    #[test]
    fn a_quarter_more_or_less_is_accepted() {
        assert_eq!(grown(&[row("a", 16.0)], &[row("a", 20.0)]), [""; 0]);
        assert_eq!(grown(&[row("a", 16.0)], &[row("a", 1.0)]), [""; 0]);
    }

    #[test]
    fn rows_have_to_be_the_same() {
        assert_eq!(grown(&[], &[row("a", 1.0)]), ["a has no limit"]);
        assert_eq!(grown(&[row("a", 1.0)], &[]), ["a is no longer counted"]);
    }
}
