//! `// ORDERING: label:name: ...` notes in the source.

/// Begins a note.
const MARK: &str = "// ORDERING:";

/// Returns the label of a line that begins a note. An inner `None` stands for a note without one.
pub(crate) fn note(line: &str) -> Option<Option<&str>> {
    let text = line.trim_start().strip_prefix(MARK)?;
    let label = text.strip_prefix(' ').and_then(|text| Some(text.split_once(": ")?.0));
    Some(label.filter(|label| crate::orderings::data::is_label(label)))
}

/// Returns the label of the last note at or above a line, counted from 1.
pub(crate) fn label_above(source: &str, line: usize) -> Option<String> {
    let above: Vec<&str> = source.lines().take(line).collect();
    above.into_iter().rev().find_map(|line| note(line).flatten()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_told_from_other_lines() {
        assert_eq!(note("    // ORDERING: take:load: Acquire."), Some(Some("take:load")));
        assert_eq!(note("// ORDERING: Acquire, as above."), Some(None));
        assert_eq!(note("// ORDERING:"), Some(None));
        assert_eq!(note("// SAFETY: one thread."), None);
        assert_eq!(note("let x = 1; // ORDERING: take:load: Acquire."), None);
    }

    #[test]
    fn label_is_that_of_the_nearest_note_above() {
        let source = "// ORDERING: a:one: x\na\n// ORDERING: b:two: x\nb\n";
        assert_eq!(label_above(source, 2).as_deref(), Some("a:one"));
        assert_eq!(label_above(source, 4).as_deref(), Some("b:two"));
        assert_eq!(label_above("a\n", 1), None);
    }
}
