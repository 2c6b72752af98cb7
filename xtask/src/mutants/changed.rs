//! The lines that changed since a commit.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines(HashMap<PathBuf, Vec<Range<usize>>>);

impl Lines {
    pub(super) fn since(commit: &str) -> anyhow::Result<Lines> {
        let output =
            Command::new("git").args(["diff", "-U0", commit, "--"]).output().context("git")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git diff {commit}: {error}");
        Ok(Lines::of_diff(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Reads what `git diff -U0` prints: `+++ b/FILE`, then `@@ -1,2 +3,4 @@` for each place.
    fn of_diff(diff: &str) -> Lines {
        let (mut lines, mut file) = (Lines::default(), PathBuf::new());
        for line in diff.lines() {
            if let Some(path) = line.strip_prefix("+++ b/") {
                file = path.into();
            } else if let Some(place) = line.strip_prefix("@@ ") {
                let new = place.split_whitespace().find_map(|part| part.strip_prefix('+'));
                let Some(new) = new else { continue };
                let (first, count) = new.split_once(',').unwrap_or((new, "1"));
                if let (Ok(first), Ok(count)) = (first.parse(), count.parse::<usize>()) {
                    lines.0.entry(file.clone()).or_default().push(first..first + count);
                }
            }
        }
        lines
    }

    /// Returns `true` if one of the lines has changed.
    pub(super) fn meet(&self, file: &Path, lines: &Range<usize>) -> bool {
        let meets = |changed: &Range<usize>| changed.start < lines.end && lines.start < changed.end;
        self.0.get(file).is_some_and(|changed| changed.iter().any(meets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_are_read() {
        let diff = "diff --git a/a.rs b/a.rs\n--- a/a.rs\n+++ b/a.rs\n@@ -3 +3,2 @@ fn f()\n-x\n\
                    +y\n+z\n@@ -9,2 +10,0 @@\n-x\n-y\n";
        let lines = Lines::of_diff(diff);
        let meets = |lines_of: Range<usize>| lines.meet(Path::new("a.rs"), &lines_of);
        assert!(meets(1..4) && meets(4..5) && !meets(5..6) && !meets(1..3));
        assert!(!meets(10..11), "lines that were only removed are not there");
        assert!(!lines.meet(Path::new("b.rs"), &(1..9)));
    }
}
