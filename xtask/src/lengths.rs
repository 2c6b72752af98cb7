//! No Rust file has too many lines of code. One file has one concept.

use std::fs;

use anyhow::{Context as _, bail, ensure};

use crate::tree;

/// The most lines of one file, without comments and blank lines.
const LINES: usize = 420;

/// Checks all Rust files.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask lengths");
    }
    let (mut longest, mut long) = (0, 0);
    for file in tree::files()?.iter().filter(|file| file.ends_with(".rs")) {
        let lines = lines_of_code(&fs::read_to_string(file).with_context(|| file.clone())?);
        longest = longest.max(lines);
        if lines > LINES {
            println!("lengths: {file} has {lines} lines of code; the limit is {LINES}");
            long += 1;
        }
    }
    ensure!(long == 0, "{long} files have more than {LINES} lines of code");
    println!("lengths: the longest file has {longest} lines of code, of at most {LINES}");
    Ok(())
}

/// Counts the lines that are neither blank nor a comment.
fn lines_of_code(text: &str) -> usize {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(code).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_do_not_count() {
        let text = "//! Docs.\n\n/// Docs.\nfn f() {\n    // A comment.\n    g(); // Another.\n}\n";
        assert_eq!(lines_of_code(text), 3);
    }
}
