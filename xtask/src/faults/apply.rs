//! Finds the text of an edit in the source, and replaces it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::entries::{Edit, Fault};
use super::source::{File, Function, Source};
use super::tokens::{self, Token};

/// Reads the source of each crate when an entry first names it.
#[derive(Debug)]
pub(super) struct Workspace {
    root: PathBuf,
    crates: BTreeMap<String, Source>,
}

/// A range of bytes of a file, and what stands there instead.
type Change<'a> = (Range<usize>, &'a str);

/// A place in the source where the text of an edit stands.
struct Place<'a> {
    file: &'a File,
    function: &'a Function,
    bytes: Range<usize>,
}

impl Workspace {
    /// Prepares to read the crates of the workspace at `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), crates: BTreeMap::new() }
    }

    /// Returns the changed files of a fault: each path from the root, and its new content.
    ///
    /// # Errors
    ///
    /// The text of an edit is not there exactly once, or the result is no Rust.
    pub(super) fn changed(&mut self, fault: &Fault) -> anyhow::Result<Vec<(PathBuf, String)>> {
        for edit in &fault.edits {
            if !self.crates.contains_key(&edit.crate_name) {
                let source = Source::read(&self.root, &edit.crate_name)?;
                self.crates.insert(edit.crate_name.clone(), source);
            }
        }
        let mut changes: BTreeMap<&Path, (&File, Vec<Change<'_>>)> = BTreeMap::new();
        for edit in &fault.edits {
            let place = locate(&self.crates[&edit.crate_name], edit)?;
            let (_, changes) =
                changes.entry(&place.file.path).or_insert_with(|| (place.file, Vec::new()));
            changes.push((place.bytes, edit.replacement.trim()));
        }
        let changed = changes.into_values().map(|(file, changes)| {
            let text = replace(&file.text, changes)?;
            syn::parse_file(&text)
                .with_context(|| format!("with the fault {} is no Rust", file.path.display()))?;
            Ok((file.path.clone(), text))
        });
        changed.collect()
    }
}

/// Finds the one place where the text of an edit stands.
fn locate<'a>(source: &'a Source, edit: &Edit) -> anyhow::Result<Place<'a>> {
    let Edit { crate_name, function, text, replacement } = edit;
    let wanted = tokens::tokens(text).context("the text")?;
    let instead = tokens::tokens(replacement).context("the replacement")?;
    ensure!(!wanted.is_empty(), "the text for `{function}` is empty");
    ensure!(!tokens::same(&wanted, &instead), "the edit of `{function}` changes nothing");

    let is_called: Vec<_> = functions(source).filter(|(_, f)| f.is_called(function)).collect();
    let mut places = find(is_called.iter().copied(), &wanted);
    // A function within a function may be found by way of both.
    places.dedup_by(|one, other| one.file.path == other.file.path && one.bytes == other.bytes);
    match places.len() {
        1 => Ok(places.remove(0)),
        0 if is_called.is_empty() => bail!(
            "there is no function `{function}` in {crate_name}/src.{}",
            elsewhere(source, &wanted)
        ),
        0 => bail!(
            "the text is not in `{function}`, at {}.{}",
            listed(is_called.iter().map(|(file, function)| at(file, function))),
            elsewhere(source, &wanted)
        ),
        times => bail!(
            "the text is there {times} times, and not once: in {}. Take more of the code into the \
             text, or write `module::{function}`",
            listed(places.iter().map(Place::describe))
        ),
    }
}

/// Returns every function of a crate with its file.
fn functions(source: &Source) -> impl Iterator<Item = (&File, &Function)> {
    source.files.iter().flat_map(|file| file.functions.iter().map(move |f| (file, f)))
}

/// Returns all places in these functions where the wanted tokens stand.
fn find<'a>(
    functions: impl Iterator<Item = (&'a File, &'a Function)>,
    wanted: &[Token],
) -> Vec<Place<'a>> {
    let places = functions.flat_map(|(file, function)| {
        let tokens = file.tokens_of(function);
        tokens::find(tokens, wanted).into_iter().map(move |first| {
            let last = first + wanted.len() - 1;
            Place { file, function, bytes: tokens[first].bytes.start..tokens[last].bytes.end }
        })
    });
    places.collect()
}

/// Says in which functions the text stands, for an error message.
fn elsewhere(source: &Source, wanted: &[Token]) -> String {
    let places = find(functions(source), wanted);
    if places.is_empty() {
        return " It is in no other function either".to_owned();
    }
    format!(" It is in {}", listed(places.iter().map(Place::describe)))
}

impl Place<'_> {
    fn describe(&self) -> String {
        format!("`{}` at {}", self.function.name(), at(self.file, self.function))
    }
}

fn at(file: &File, function: &Function) -> String {
    format!("{}:{}", file.path.display(), function.line)
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Puts new text in place of some ranges of bytes.
fn replace(text: &str, mut changes: Vec<Change<'_>>) -> anyhow::Result<String> {
    changes.sort_by_key(|(bytes, _)| bytes.start);
    ensure!(
        changes.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start),
        "two edits change the same text"
    );
    let mut changed = text.to_owned();
    for (bytes, replacement) in changes.into_iter().rev() {
        changed.replace_range(bytes, replacement);
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
