//! Every atomic access has an argument, and every argument an access.
//!
//! * A note `// ORDERING: label:name: ...` stands within the 8 lines above each atomic access in
//!   `reorder/src` and `executor/src`. In `reorder/src` each access has a note of its own. Tests
//!   are exempt, and so is `primitive`, which wraps the accesses.
//! * Every note has a label, and no two notes share one.
//! * The labels of each crate are the labels in `docs/orderings.toml`, both ways.
//! * A label that a page or a comment mentions is the label of a note.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, bail, ensure};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use regex::Regex;

use crate::notes::note;
use crate::orderings::data::{self, Book, Orderings};
use crate::{pages, syntax};

/// The most lines from the first line of a note to its access.
const REACH: usize = 8;

/// A label in backticks.
static MENTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("`([a-z_0-9-]+:[a-z_0-9-]+)`").expect("the pattern is tested"));

/// Checks the whole tree.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask labels");
    }
    let breaches = check(Path::new("."))?;
    for breach in &breaches {
        println!("labels: {breach}");
    }
    ensure!(breaches.is_empty(), "{} breaches", breaches.len());
    println!("labels: every atomic access has its note, and every note its entry");
    Ok(())
}

/// The source and the page of one crate.
struct Crate<'a> {
    source: &'a str,
    page: &'a str,
    book: &'a Book,
    /// `true` if two accesses may not share a note.
    own_notes: bool,
}

/// Returns a message for each breach of the rules in the tree at `root`.
fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let data = fs::read_to_string(root.join(data::FILE)).context(data::FILE)?;
    let orderings = Orderings::parse(&data)?;
    let (ring, executor) = (&orderings.ring, &orderings.executor);
    let crates = [
        Crate { source: "reorder/src", page: pages::RING, book: ring, own_notes: true },
        Crate { source: "executor/src", page: pages::EXECUTOR, book: executor, own_notes: false },
    ];
    let mut breaches = Vec::new();
    let mut all_labels = BTreeSet::new();
    let mut mentions = Vec::new();
    for part in crates {
        let labels = check_source(root, &part, &mut breaches, &mut mentions)?;
        let entries: BTreeSet<&str> = part.book.labels().collect();
        for label in labels.iter().filter(|label| !entries.contains(label.as_str())) {
            breaches.push(format!("{} has no entry for {label}", data::FILE));
        }
        for label in entries.iter().filter(|label| !labels.contains(**label)) {
            breaches.push(format!("{} has an entry for {label}, which no note has", data::FILE));
        }
        let page = fs::read_to_string(root.join(part.page)).context(part.page.to_owned())?;
        mentions.extend(mentioned(part.page, &page, |_| true));
        all_labels.extend(labels);
    }
    for (place, label) in mentions {
        if !all_labels.contains(&label) {
            breaches.push(format!("{place}: mentions {label}, which no note has"));
        }
    }
    Ok(breaches)
}

/// Checks the notes of one crate, and returns their labels.
fn check_source(
    root: &Path,
    part: &Crate<'_>,
    breaches: &mut Vec<String>,
    mentions: &mut Vec<(String, String)>,
) -> anyhow::Result<BTreeSet<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folder = root.join(part.source);
    for path in syntax::files(&folder, &["tests", "tests.rs", "primitive", "primitive.rs"])? {
        let (text, syntax) = syntax::read(&path)?;
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        for (line, message) in unnoted(&text, &accesses(syntax.to_token_stream()), part.own_notes) {
            breaches.push(format!("{file}:{line}: {message}"));
        }
        for (index, line) in text.lines().enumerate() {
            let place = format!("{file}:{}", index + 1);
            match note(line) {
                Some(Some(label)) => places.entry(label.to_owned()).or_default().push(place),
                Some(None) => breaches.push(format!(
                    "{place}: the note has no label (// ORDERING: function:name: ...)"
                )),
                None => {}
            }
        }
        mentions.extend(mentioned(&file, &text, |line| line.trim_start().starts_with("//")));
    }
    for (label, places) in &places {
        if places.len() > 1 {
            breaches.push(format!("several notes have the label {label}: {}", places.join(" ")));
        }
    }
    Ok(places.into_keys().collect())
}

/// Returns the accesses that have no note, or that share one where each has to have its own.
fn unnoted(text: &str, accesses: &[usize], own_notes: bool) -> Vec<(usize, &'static str)> {
    let notes: Vec<usize> =
        (1..).zip(text.lines()).filter(|(_, l)| note(l).is_some()).map(|(n, _)| n).collect();
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    for &access in accesses {
        let above = notes.iter().rev().find(|&&note| note < access);
        match above.filter(|&&note| access - note <= REACH) {
            None => found.push((access, "an atomic access without an ORDERING note")),
            Some(note) if !used.insert(note) && own_notes => {
                found.push((access, "shares its ORDERING note with another access"));
            }
            Some(_) => {}
        }
    }
    found
}

/// Returns the lines of the atomic accesses in order. An access is a call of an atomic's method or
/// of `fence`, with an ordering among its arguments.
fn accesses(tokens: TokenStream) -> Vec<usize> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut lines = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match (token, tokens.get(index + 1)) {
            (TokenTree::Group(group), _) => lines.extend(accesses(group.stream())),
            (TokenTree::Ident(name), Some(TokenTree::Group(arguments))) => {
                let before = index.checked_sub(1).map(|before| &tokens[before]);
                let method = matches!(before, Some(TokenTree::Punct(p)) if p.as_char() == '.');
                let name = name.to_string();
                let atomic = if method { is_access(&name) } else { name == "fence" };
                if atomic && names_an_ordering(arguments.stream()) {
                    lines.push(token.span().start().line);
                }
            }
            _ => {}
        }
    }
    lines.sort_unstable();
    lines
}

/// Returns `true` for the name of an atomic's method.
fn is_access(method: &str) -> bool {
    matches!(method, "load" | "store" | "swap" | "compare_exchange" | "compare_exchange_weak")
        || method.starts_with("fetch_")
}

fn names_an_ordering(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => names_an_ordering(group.stream()),
        TokenTree::Ident(name) => {
            ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"].iter().any(|order| name == order)
        }
        _ => false,
    })
}

/// Returns the labels that the chosen lines of a text mention, and where.
fn mentioned(file: &str, text: &str, chosen: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| chosen(line)) {
        for mention in MENTION.captures_iter(line) {
            found.push((format!("{file}:{}", index + 1), mention[1].to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    use tempfile::TempDir;

    const SLOT: &str = "fn take() {
    // ORDERING: take:load: Acquire pairs with `take:vacate`.
    self.tag.load(Acquire);
    // ORDERING: take:vacate: Release.
    self.tag
        .store(1, Release);
}
";
    const IDLE: &str = "fn doze() {
    // ORDERING: idle:doze: both are relaxed.
    if a.load(Relaxed) && b.load(Relaxed) {}
}
";
    const DATA: &str = "
        [[ring.pair]]
        release = ['take:vacate']
        acquire = ['take:load']
        carries = ''
        models = []
        [[executor.relaxed]]
        labels = ['idle:doze']
        why = ''
    ";
    const PAGE: &str = "The tag is taken by `take:load`, as `slot.rs` says.\n";

    /// The breaches of a small tree after one replacement in one of its files.
    fn breaches_after(file: &str, from: &str, to: &str) -> Vec<String> {
        let files = [
            ("reorder/src/slot.rs", SLOT),
            ("executor/src/idle.rs", IDLE),
            (data::FILE, DATA),
            (pages::RING, PAGE),
            (pages::EXECUTOR, ""),
        ];
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if name == file { text.replacen(from, to, 1) } else { text.to_owned() };
            assert!(name != file || from.is_empty() || text.contains(to));
            fs::write(path, text).unwrap();
        }
        check(folder.path()).unwrap()
    }

    /// The only breach after one replacement.
    fn breach_after(file: &str, from: &str, to: &str) -> String {
        let breaches = breaches_after(file, from, to);
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        breaches[0].clone()
    }

    const SLOT_FILE: &str = "reorder/src/slot.rs";

    #[test]
    fn complete_tree_is_accepted() {
        assert_eq!(breaches_after("", "", ""), Vec::<String>::new());
    }

    #[test]
    fn access_without_a_note_is_noticed() {
        let breaches = breaches_after(SLOT_FILE, "ORDERING: take:vacate", "Ordering: take:vacate");
        assert!(
            breaches
                .contains(&format!("{SLOT_FILE}:6: shares its ORDERING note with another access")),
            "{breaches:?}"
        );
        let breaches = breaches_after(SLOT_FILE, "ORDERING: take:load", "Ordering: take:load");
        assert!(
            breaches.contains(&format!("{SLOT_FILE}:3: an atomic access without an ORDERING note")),
            "{breaches:?}"
        );
    }

    #[test]
    fn note_too_far_above_is_noticed() {
        let far = format!("{}    self.tag\n", "    let _ = 0;\n".repeat(7));
        let breach = breach_after(SLOT_FILE, "    self.tag\n", &far);
        assert_eq!(breach, format!("{SLOT_FILE}:13: an atomic access without an ORDERING note"));
        let near = format!("{}    self.tag\n", "    let _ = 0;\n".repeat(6));
        assert_eq!(breaches_after(SLOT_FILE, "    self.tag\n", &near), Vec::<String>::new());
    }

    #[test]
    fn shared_notes_are_noticed_in_the_ring_alone() {
        let breach =
            breach_after(SLOT_FILE, "load(Acquire);", "load(Acquire);\n    b.load(Relaxed);");
        assert_eq!(breach, format!("{SLOT_FILE}:4: shares its ORDERING note with another access"));
    }

    #[test]
    fn accesses_in_macros_and_fences_count_and_tests_do_not() {
        let breach = breach_after(
            SLOT_FILE,
            "fn take",
            "fn f() {\n    assert!(a.load(Relaxed) == 1);\n}\nfn take",
        );
        assert_eq!(breach, format!("{SLOT_FILE}:2: an atomic access without an ORDERING note"));
        let breach = breach_after(SLOT_FILE, "fn take", "fn f() {\n    fence(SeqCst);\n}\nfn take");
        assert_eq!(breach, format!("{SLOT_FILE}:2: an atomic access without an ORDERING note"));
        let tests =
            "#[cfg(all(test, unix))]\nmod tests {\n    fn f() { a.load(Relaxed); }\n}\nfn take";
        assert_eq!(breaches_after(SLOT_FILE, "fn take", tests), Vec::<String>::new());
        let other = "fn f() { map.swap(1, 2); self.0.load(order); }\nfn take";
        assert_eq!(breaches_after(SLOT_FILE, "fn take", other), Vec::<String>::new());
    }

    #[test]
    fn note_without_a_label_is_noticed() {
        let breaches = breaches_after(SLOT_FILE, "ORDERING: take:vacate:", "ORDERING:");
        let expected =
            "reorder/src/slot.rs:4: the note has no label (// ORDERING: function:name: ...)";
        assert!(breaches.iter().any(|breach| breach == expected), "{breaches:?}");
    }

    #[test]
    fn labels_and_entries_have_to_agree() {
        let breach = breach_after(
            "executor/src/idle.rs",
            "idle:doze: both",
            "idle:sleep: both\n    // ORDERING: idle:doze: both",
        );
        assert_eq!(breach, "docs/orderings.toml has no entry for idle:sleep");
        let breach = breach_after(data::FILE, "'idle:doze'", "'idle:doze', 'seeded:label'");
        assert_eq!(breach, "docs/orderings.toml has an entry for seeded:label, which no note has");
    }

    #[test]
    fn label_twice_is_noticed() {
        let breach = breach_after(
            "executor/src/idle.rs",
            "fn doze",
            "// ORDERING: idle:doze: again.\nfn doze",
        );
        assert_eq!(
            breach,
            "several notes have the label idle:doze: executor/src/idle.rs:1 executor/src/idle.rs:3"
        );
    }

    #[test]
    fn mention_of_no_label_is_noticed() {
        let breach = breach_after(SLOT_FILE, "pairs with `take:vacate`", "pairs with `no:such`");
        assert_eq!(breach, format!("{SLOT_FILE}:2: mentions no:such, which no note has"));
        let breach = breach_after(pages::RING, "`take:load`", "`seeded:label`");
        assert_eq!(breach, format!("{}:1: mentions seeded:label, which no note has", pages::RING));
    }
}
