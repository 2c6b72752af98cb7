//! Comments and documents are written so that a reader understands them the first time.
//!
//! The check reads Markdown files and the comments of Rust files and scripts. It refuses lines of
//! more than 100 columns. It gives advice about sentences with certain constructions, and fails if
//! their share is larger than `xtask/prose.toml` allows.

mod rules;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::tree;
use rules::advice;
use text::{Language, sentences};

/// The file with the limits.
const LIMITS: &str = "xtask/prose.toml";

/// The most columns of a line.
const COLUMNS: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// The most sentences of a hundred, over all files, about which there may be advice.
    percent: f64,
    /// The most lines over the limit of columns.
    wide_lines: usize,
    /// Files and folders that are not read, each with the reason.
    exempt: BTreeMap<String, String>,
}

/// The numbers of findings in some files.
#[derive(Debug, Default)]
struct Findings {
    sentences: usize,
    flagged: usize,
    wide_lines: usize,
}

/// Checks the files and folders that the arguments name, or all files.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let text = fs::read_to_string(LIMITS).context(LIMITS)?;
    let limits: Limits = toml::from_str(&text).context(LIMITS)?;
    let summary = arguments.iter().any(|argument| argument == "--summary");
    let chosen: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let mut all = Findings::default();
    for file in tree::files()? {
        let below = |folder: &str| Path::new(&file).starts_with(folder.trim_end_matches('/'));
        let named = chosen.is_empty() || chosen.iter().any(|chosen| below(chosen));
        let exempt = limits.exempt.keys().any(|exempt| below(exempt));
        let Some(language) = Language::of(&file).filter(|_| named && !exempt) else { continue };
        let text = fs::read_to_string(&file).with_context(|| file.clone())?;
        let mut print = |line: usize, message: String| {
            if !summary {
                println!("{file}:{line}: {message}");
            }
        };
        let found = check(language, &text, &mut print);
        if summary && found.flagged + found.wide_lines > 0 {
            let Findings { sentences, flagged, wide_lines } = found;
            println!("{flagged:4} of {sentences:4} sentences, {wide_lines:3} wide lines  {file}");
        }
        all.sentences += found.sentences;
        all.flagged += found.flagged;
        all.wide_lines += found.wide_lines;
    }
    verdict(&all, &limits)
}

/// Fails if there are more findings than the limits allow.
fn verdict(found: &Findings, limits: &Limits) -> anyhow::Result<()> {
    let Findings { sentences, flagged, wide_lines } = found;
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 sentences")]
    let percent = 100.0 * *flagged as f64 / (*sentences).max(1) as f64;
    println!(
        "prose: advice about {flagged} of {sentences} sentences ({percent:.1} %, at most {} %), \
         {wide_lines} lines over {COLUMNS} columns (at most {})",
        limits.percent, limits.wide_lines
    );
    ensure!(percent <= limits.percent, "too many sentences that are hard to read");
    ensure!(*wide_lines <= limits.wide_lines, "too many lines over {COLUMNS} columns");
    Ok(())
}

/// Checks the text of one file, and reports each finding with its line.
fn check(language: Language, text: &str, report: &mut dyn FnMut(usize, String)) -> Findings {
    let mut found = Findings::default();
    let mut messages = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS && !may_be_wide(line) {
            found.wide_lines += 1;
            messages.push((index + 1, format!("break the line ({columns} columns)")));
        }
    }
    for sentence in sentences(language, text) {
        found.sentences += 1;
        let advice = advice(&sentence.text);
        found.flagged += usize::from(!advice.is_empty());
        let shown: String = sentence.text.chars().take(120).collect();
        messages
            .extend(advice.into_iter().map(|advice| (sentence.line, format!("{advice}: {shown}"))));
    }
    messages.sort_by_key(|(line, _)| *line);
    for (line, message) in messages {
        report(line, message);
    }
    found
}

/// Returns `true` for a row of a table, and for a line that an address makes long.
fn may_be_wide(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '/', '!']);
    text.starts_with('|') || line.split_whitespace().any(|word| word.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(language: Language, text: &str) -> (Findings, Vec<(usize, String)>) {
        let mut messages = Vec::new();
        let found = check(language, text, &mut |line, message| messages.push((line, message)));
        (found, messages)
    }

    #[test]
    fn wide_lines_are_refused_but_for_tables_and_addresses() {
        let long = "x".repeat(101);
        let text = format!(
            "//! | {long} |\n| {long} |\n// see https://{long}\n{}\n{long}\n",
            "é".repeat(100)
        );
        let (found, messages) = checked(Language::Rust, &text);
        assert_eq!(found.wide_lines, 1);
        assert_eq!(messages, [(5, "break the line (101 columns)".to_owned())]);
    }

    #[test]
    fn findings_have_their_line_and_the_sentence() {
        let text =
            "/// Returns it.\n///\n/// The first is good. The second is for\n/// whoever reads.\n";
        let (found, messages) = checked(Language::Rust, text);
        assert_eq!((found.sentences, found.flagged), (2, 1));
        let expected = "name the actor (\"whoever\"): The second is for whoever reads.";
        assert_eq!(messages, [(3, expected.to_owned())]);
    }

    #[test]
    fn limits_are_held() {
        let limits = Limits { percent: 5.0, wide_lines: 1, exempt: BTreeMap::new() };
        let found = |sentences, flagged, wide_lines| Findings { sentences, flagged, wide_lines };
        assert!(verdict(&found(100, 5, 1), &limits).is_ok());
        assert!(verdict(&found(100, 6, 0), &limits).is_err());
        assert!(verdict(&found(100, 0, 2), &limits).is_err());
        assert!(verdict(&found(0, 0, 0), &limits).is_ok());
    }
}
