//! The pages of `docs/` that the tools read and write.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// The page with the argument for the ring.
pub(crate) const RING: &str = "docs/ring.md";

/// The page with the argument for the executor.
pub(crate) const EXECUTOR: &str = "docs/executor.md";

/// Replaces the lines between two markers of a Markdown page.
///
/// The markers are `<!-- TOPIC:begin NAME -->` and `<!-- TOPIC:end -->`.
///
/// # Errors
///
/// If the page does not have exactly one such pair of markers.
pub(crate) fn replace_block(
    page: &str,
    topic: &str,
    name: &str,
    content: &str,
) -> anyhow::Result<String> {
    let begin = format!("<!-- {topic}:begin {name} -->\n");
    let end = format!("<!-- {topic}:end -->");
    ensure!(page.matches(&begin).count() == 1, "not exactly one line {}", begin.trim_end());
    let (before, rest) = page.split_once(&begin).context("no marker")?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("no {end} after {begin}"))?;
    // Blank lines, so that Markdown takes the markers for no part of a table.
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", content.trim_end()))
}

/// Does the same between two markers in the documentation of a crate or module.
pub(crate) fn replace_block_in_docs(
    source: &str,
    topic: &str,
    name: &str,
    content: &str,
) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- {topic}:begin {name} -->"), format!("<!-- {topic}:end -->"));
    ensure!(source.matches(&begin).count() == 1, "not exactly one line {begin}");
    let (before, rest) = source.split_once(&begin).context("no marker")?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("no {end} after {begin}"))?;
    let lines: String = content.lines().map(|line| format!("//! {line}\n")).collect();
    Ok(format!("{before}{begin}\n//!\n{lines}//!\n//! {end}{after}"))
}

/// Writes the page, or with `only_check` fails if that would change it.
pub(crate) fn write(path: &str, text: &str, only_check: bool, command: &str) -> anyhow::Result<()> {
    let path = Path::new(path);
    let before = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    if before == text {
        return Ok(());
    }
    if only_check {
        let first = before.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
        let line = first + 1;
        anyhow::bail!("{}:{line}: differs from its data: run {command}", path.display());
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    println!("{} is written", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Text.\n\n<!-- t:begin a -->\nold\n<!-- t:end -->\nMore.\n\
                        <!-- t:begin b -->\n<!-- t:end -->\n";

    #[test]
    fn content_between_markers_is_replaced() {
        let page = replace_block(PAGE, "t", "a", "new\nlines\n").unwrap();
        let page = replace_block(&page, "t", "b", "other").unwrap();
        let expected = "Text.\n\n<!-- t:begin a -->\n\nnew\nlines\n\n<!-- t:end -->\nMore.\n\
                        <!-- t:begin b -->\n\nother\n\n<!-- t:end -->\n";
        assert_eq!(page, expected);
        assert_eq!(replace_block(&page, "t", "b", "other").unwrap(), page);
    }

    #[test]
    fn content_of_documentation_is_replaced() {
        let source =
            "//! Text.\n//!\n//! <!-- t:begin a -->\n//! old\n//! <!-- t:end -->\nmod m;\n";
        let replaced = replace_block_in_docs(source, "t", "a", "one\ntwo\n").unwrap();
        let expected = "//! Text.\n//!\n//! <!-- t:begin a -->\n//!\n//! one\n//! two\n//!\n\
                        //! <!-- t:end -->\nmod m;\n";
        assert_eq!(replaced, expected);
        assert_eq!(replace_block_in_docs(&replaced, "t", "a", "one\ntwo\n").unwrap(), expected);
        assert!(replace_block_in_docs(source, "t", "b", "").is_err());
    }

    #[test]
    fn missing_and_doubled_markers_are_errors() {
        assert!(replace_block(PAGE, "t", "c", "").is_err());
        assert!(replace_block(&format!("{PAGE}{PAGE}"), "t", "a", "").is_err());
        assert!(replace_block("<!-- t:begin a -->\n", "t", "a", "").is_err());
    }

    #[test]
    fn pages_that_differ_fail_the_check_and_are_written_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.md");
        let path = path.to_str().unwrap();
        fs::write(path, "one\ntwo\n").unwrap();
        write(path, "one\ntwo\n", true, "tool").unwrap();
        let error = write(path, "one\nthree\n", true, "tool").unwrap_err().to_string();
        assert_eq!(error, format!("{path}:2: differs from its data: run tool"));
        write(path, "one\nthree\n", false, "tool").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "one\nthree\n");
    }
}
