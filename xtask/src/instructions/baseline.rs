//! Counts of instructions, and their comparison with a baseline.

use anyhow::Context as _;

use crate::probe::Compiler;

/// Instructions per operation, in the order of the probe.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counts(Vec<(String, f64)>);

impl Counts {
    pub(super) fn add(&mut self, operation: &str, count: f64) {
        // One digit is kept, as in the file.
        self.0.push((operation.to_owned(), (count * 10.0).round() / 10.0));
    }

    fn of(&self, operation: &str) -> Option<f64> {
        self.0.iter().find(|(name, _)| name == operation).map(|(_, count)| *count)
    }

    /// Reads a baseline, and the compiler that it was counted with.
    pub(super) fn read_baseline(text: &str) -> anyhow::Result<(Compiler, Counts)> {
        let compiler = text.lines().find_map(|line| {
            let (release, host) = line.strip_prefix("# rustc ")?.split_once(" for ")?;
            Some(Compiler { release: release.to_owned(), host: host.to_owned() })
        });
        let mut counts = Counts::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (count, operation) = line.trim().split_once("  ").context("no operation")?;
            counts.0.push((operation.to_owned(), count.parse().context("no count")?));
        }
        Ok((compiler.context("no line names the compiler")?, counts))
    }

    /// Returns the text of a baseline.
    pub(super) fn baseline(&self, compiler: &Compiler) -> String {
        let mut text = format!(
            "# Instructions per operation; cargo xtask instructions --renew writes this.\n\
             # rustc {} for {}\n",
            compiler.release, compiler.host
        );
        for (operation, count) in &self.0 {
            text.push_str(&format!("{count:7.1}  {operation}\n"));
        }
        text
    }
}

/// Returns the total that callgrind has written.
pub(super) fn total(counted: &str) -> Option<f64> {
    counted.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

/// The result of a comparison, with a line for each operation.
pub(super) struct Compared {
    pub(super) accepted: bool,
    pub(super) lines: Vec<String>,
    pub(super) grew: Vec<String>,
}

/// Compares counts with a baseline. A count may be `slack` times as large.
pub(super) fn compare(baseline: &Counts, now: &Counts, slack: f64) -> Compared {
    // One last digit is rounding.
    const ROUNDING: f64 = 0.1001;
    let mut compared = Compared { accepted: true, lines: Vec::new(), grew: Vec::new() };
    for (operation, count) in &now.0 {
        let Some(before) = baseline.of(operation) else {
            compared.accepted = false;
            compared.lines.push(format!("{operation} is not in the baseline"));
            continue;
        };
        let grew = *count > before * slack + ROUNDING;
        let verdict = match grew {
            true => ": GREW",
            false if *count < before - ROUNDING => ": fell",
            false => "",
        };
        if grew {
            compared.grew.push(operation.clone());
        }
        // An operation without instructions was not counted.
        compared.accepted &= !grew && *count > 0.0;
        compared.lines.push(format!("{count:6.1}, before {before:6.1}  {operation}{verdict}"));
    }
    for (operation, _) in &baseline.0 {
        if now.of(operation).is_none() {
            compared.accepted = false;
            compared.lines.push(format!("{operation} is no longer counted"));
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, f64)]) -> Counts {
        let mut all = Counts::default();
        counts.iter().for_each(|(operation, count)| all.add(operation, *count));
        all
    }

    fn accepted(baseline: &[(&str, f64)], now: &[(&str, f64)], slack: f64) -> bool {
        compare(&counts(baseline), &counts(now), slack).accepted
    }

    #[test]
    fn baseline_is_read_as_it_was_written() {
        let compiler =
            Compiler { release: "1.95.0".into(), host: "x86_64-unknown-linux-gnu".into() };
        let counts = counts(&[("reserve", 22.74), ("reserve_many, a ticket of 64", 9.1)]);
        let text = counts.baseline(&compiler);
        assert!(
            text.contains("\n   22.7  reserve\n    9.1  reserve_many, a ticket of 64\n"),
            "{text}"
        );
        assert_eq!(Counts::read_baseline(&text).unwrap(), (compiler, counts));
        assert!(Counts::read_baseline("1.0  reserve\n").is_err());
    }

    #[test]
    fn growth_is_refused_and_named() {
        let compared = compare(
            &counts(&[("a", 10.0), ("b", 10.0)]),
            &counts(&[("a", 10.0), ("b", 10.2)]),
            1.0,
        );
        assert!(!compared.accepted);
        assert_eq!(compared.grew, ["b"]);
        assert_eq!(compared.lines[1], "  10.2, before   10.0  b: GREW");
    }

    #[test]
    fn rounding_slack_and_a_fall_are_accepted() {
        assert!(accepted(&[("a", 10.0)], &[("a", 10.1)], 1.0));
        assert!(accepted(&[("a", 10.0)], &[("a", 12.5)], 1.25));
        assert!(!accepted(&[("a", 10.0)], &[("a", 12.8)], 1.25));
        assert!(accepted(&[("a", 10.0)], &[("a", 8.0)], 1.0));
    }

    #[test]
    fn operations_have_to_be_the_same_and_to_be_counted() {
        assert!(!accepted(&[("a", 10.0)], &[], 1.0));
        assert!(!accepted(&[], &[("a", 10.0)], 1.0));
        assert!(!accepted(&[("a", 10.0)], &[("a", 0.0)], 1.0));
    }

    #[test]
    fn total_is_found() {
        assert_eq!(total("version: 1\ntotals: 1234\n"), Some(1234.0));
        assert_eq!(total("version: 1\n"), None);
    }
}
