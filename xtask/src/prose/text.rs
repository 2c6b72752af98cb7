//! The prose of a file: the paragraphs of a Markdown file, or of the comments of a source file.

/// A paragraph, a list item or a table cell. Line breaks within it have become spaces.
#[derive(Debug, Default)]
pub(super) struct Paragraph {
    text: String,
    /// Where each source line begins in the text, and its number.
    lines: Vec<(usize, usize)>,
}

/// A sentence, and the line on which it begins. Code spans have become `X`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) text: String,
    pub(super) line: usize,
}

/// The languages that the check reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Markdown,
    Rust,
    Shell,
}

impl Language {
    /// Returns the language that a file's name tells.
    pub(super) fn of(file: &str) -> Option<Language> {
        match file.rsplit_once('.')?.1 {
            "md" => Some(Language::Markdown),
            "rs" => Some(Language::Rust),
            "sh" => Some(Language::Shell),
            _ => None,
        }
    }

    /// Returns the prose in a line, and the marker of the comment that contains it.
    fn prose(self, line: &str) -> Option<(&'static str, &str)> {
        let line = line.trim();
        let markers: &[&str] = match self {
            Language::Markdown => return Some(("", line)),
            Language::Rust => &["///", "//!", "//"],
            Language::Shell => &["#"],
        };
        let marker = markers.iter().find(|marker| line.starts_with(**marker))?;
        let rest = &line[marker.len()..];
        (!rest.starts_with(['!', '/', '#'])).then_some((*marker, rest.trim()))
    }
}

/// Returns the sentences of a file's prose, without headings and code blocks.
pub(super) fn sentences(language: Language, text: &str) -> Vec<Sentence> {
    paragraphs(language, text).iter().flat_map(Paragraph::sentences).collect()
}

fn paragraphs(language: Language, text: &str) -> Vec<Paragraph> {
    let mut all = vec![Paragraph::default()];
    let mut fence = false;
    let mut comment = None;
    for (index, line) in text.lines().enumerate() {
        let prose = language.prose(line);
        let marker = prose.map(|(marker, _)| marker);
        if marker != comment {
            comment = marker;
            fence = false;
            all.push(Paragraph::default());
        }
        let Some((_, prose)) = prose else { continue };
        if prose.starts_with("```") {
            fence = !fence;
            all.push(Paragraph::default());
        } else if fence {
        } else if prose.is_empty() || heading(prose) || prose.starts_with("<!--") {
            all.push(Paragraph::default());
        } else if let Some(row) = prose.strip_prefix('|') {
            for cell in row.split('|') {
                all.push(Paragraph::default());
                push(&mut all, cell.trim(), index + 1);
            }
            all.push(Paragraph::default());
        } else {
            let item = list_item(prose);
            if item.is_some() {
                all.push(Paragraph::default());
            }
            push(&mut all, item.unwrap_or(prose), index + 1);
        }
    }
    all.retain(|paragraph| !paragraph.text.is_empty());
    all
}

/// Appends a line to the last paragraph.
fn push(all: &mut [Paragraph], text: &str, line: usize) {
    let Some(paragraph) = all.last_mut() else { return };
    if !paragraph.text.is_empty() {
        paragraph.text.push(' ');
    }
    paragraph.lines.push((paragraph.text.len(), line));
    paragraph.text.push_str(text);
}

/// Returns `true` for a Markdown heading, but not for an attribute of Rust.
fn heading(prose: &str) -> bool {
    prose.trim_start_matches('#').starts_with(' ') && prose.starts_with('#')
}

/// Returns the text of a list item.
fn list_item(prose: &str) -> Option<&str> {
    let (mark, rest) = prose.split_once(' ')?;
    let number = mark.strip_suffix('.').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    (mark == "*" || mark == "-" || (number && mark.len() > 1)).then(|| rest.trim_start())
}

impl Paragraph {
    fn sentences(&self) -> Vec<Sentence> {
        let (plain, origins) = plain(&self.text);
        let mut found = Vec::new();
        let mut start = 0;
        for end in ends(&plain) {
            let text = plain[start..end].trim();
            let begin = start + plain[start..end].len() - plain[start..end].trim_start().len();
            if words(text) >= 3 {
                let offset = origins.get(begin).copied().unwrap_or_default();
                let line = self.lines.iter().rev().find(|(from, _)| *from <= offset);
                let line = line.map_or(0, |(_, line)| *line);
                found.push(Sentence { text: text.to_owned(), line });
            }
            start = end;
        }
        found
    }
}

/// Replaces code spans by `X` and links by their text. Returns for each byte of the result the place in
/// the original that it comes from.
fn plain(text: &str) -> (String, Vec<usize>) {
    let mut plain = String::new();
    let mut origins = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let at = text.len() - rest.len();
        let mut taken = letter.len_utf8();
        let mut put = Some(letter);
        if letter == '`' {
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            if let Some(end) = rest[ticks..].find(&rest[..ticks]) {
                taken = end + 2 * ticks;
                put = Some('X');
            }
        } else if letter == '[' {
            put = None;
        } else if letter == ']' {
            put = None;
            let close = match rest[1..].chars().next() {
                Some('(') => Some(')'),
                Some('[') => Some(']'),
                _ => None,
            };
            if let Some(end) = close.and_then(|close| rest[1..].find(close)) {
                taken = end + 2;
            }
        }
        if let Some(letter) = put {
            plain.push(letter);
            origins.resize(plain.len(), at);
        }
        rest = &rest[taken..];
    }
    (plain, origins)
}

/// Returns the ends of the sentences: after a stop, if the next word can begin a sentence.
fn ends(plain: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    for (index, letter) in plain.char_indices() {
        if !matches!(letter, '.' | '!' | '?') {
            continue;
        }
        let rest = plain[index + 1..].trim_start_matches([')', '"', '*', '_']);
        let next = rest.trim_start();
        let begins = |c: char| c.is_ascii_uppercase() || matches!(c, '(' | '"' | '*' | '_');
        if next.len() < rest.len() && next.starts_with(begins) {
            ends.push(plain.len() - rest.len());
        }
    }
    ends.push(plain.len());
    ends
}

/// Counts the words of a sentence.
pub(super) fn words(sentence: &str) -> usize {
    let letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '\'' | '-');
    sentence
        .split(|c| !letter(c))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(language: Language, text: &str) -> Vec<(usize, String)> {
        let sentences = sentences(language, text).into_iter();
        sentences.map(|sentence| (sentence.line, sentence.text)).collect()
    }

    #[test]
    fn markdown_is_split_into_sentences_with_their_lines() {
        let text = "# A heading is no sentence\n\nThe first sentence ends\nhere. The second one (see\n\
                    [the page](page.md)) ends there.\n\n* The first item\n  goes on.\n* The second item.\n\
                    \n| cell with words | another with words |\n|---|---|\n\n```rust\nlet code = 1;\n```\n";
        let expected = [
            (3, "The first sentence ends here."),
            (4, "The second one (see the page) ends there."),
            (7, "The first item goes on."),
            (9, "The second item."),
            (11, "cell with words"),
            (11, "another with words"),
        ];
        assert_eq!(
            found(Language::Markdown, text),
            expected.map(|(line, text)| (line, text.to_owned()))
        );
    }

    #[test]
    fn comments_of_different_kinds_are_different_paragraphs() {
        let text = "//! The module's own comment\n\n/// Returns `a.b()` and more.\n///\n/// # Panics\n///\n\
                    /// If it is empty. Else never does.\nfn f() {\n    // An inner comment stands here.\n\
                    let url = \"https://no.comment\";\n}\n";
        let expected = [
            (1, "The module's own comment"),
            (3, "Returns X and more."),
            (7, "If it is empty."),
            (7, "Else never does."),
            (9, "An inner comment stands here."),
        ];
        assert_eq!(
            found(Language::Rust, text),
            expected.map(|(line, text)| (line, text.to_owned()))
        );
    }

    #[test]
    fn scripts_have_comments_and_no_headings() {
        let text =
            "#!/usr/bin/env bash\n# Checks all of it. It fails early.\nrun # no comment line\n";
        let expected = [(2, "Checks all of it."), (2, "It fails early.")];
        assert_eq!(
            found(Language::Shell, text),
            expected.map(|(line, text)| (line, text.to_owned()))
        );
    }

    #[test]
    fn code_blocks_are_left_out_until_their_end_or_that_of_the_comment() {
        let text = "/// ```\n/// let these_are = no_words;\n\n/// These are words again.\n";
        assert_eq!(found(Language::Rust, text), [(4, "These are words again.".to_owned())]);
    }

    #[test]
    fn words_have_letters() {
        assert_eq!(words("The caller's 3 well-known words: 50 %"), 4);
    }
}
