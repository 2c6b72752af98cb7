//! The data file of all atomic accesses.

use std::fs;

use anyhow::Context as _;
use serde::Deserialize;

/// The data file.
pub(crate) const FILE: &str = "docs/orderings.toml";

/// The accesses of both crates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Orderings {
    pub(crate) ring: Book,
    pub(crate) executor: Book,
}

/// The accesses of one crate.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Book {
    #[serde(default, rename = "pair")]
    pub(crate) pairs: Vec<Pair>,
    #[serde(default)]
    pub(crate) argued: Vec<Argued>,
    #[serde(default)]
    pub(crate) relaxed: Vec<Relaxed>,
    /// Labels of the models' own accesses.
    #[serde(default)]
    pub(crate) of_models: Vec<String>,
}

/// A release, the acquire that it pairs with, and the models that need both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    pub(crate) release: Vec<Side>,
    pub(crate) acquire: Vec<Side>,
    pub(crate) carries: String,
    pub(crate) models: Vec<String>,
}

/// One half of an order that no model needs, and the reason to keep it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Argued {
    pub(crate) label: String,
    pub(crate) half: Part,
    pub(crate) why: String,
}

/// Accesses without an order, and the reason why they need none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relaxed {
    pub(crate) labels: Vec<Side>,
    pub(crate) why: String,
}

/// A label, and the outcome of the compare-and-swap if the entry is about one outcome only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Side {
    pub(crate) label: String,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused,
    Accepted,
}

impl TryFrom<String> for Side {
    type Error = String;

    fn try_from(text: String) -> Result<Side, String> {
        let (label, outcome) = match text.split_once(' ') {
            None => (text.as_str(), None),
            Some((label, "refused")) => (label, Some(Outcome::Refused)),
            Some((label, "accepted")) => (label, Some(Outcome::Accepted)),
            Some(_) => return Err(format!("not a label with an outcome: {text:?}")),
        };
        if !is_label(label) {
            return Err(format!("not a label: {label:?}"));
        }
        Ok(Side { label: label.to_owned(), outcome })
    }
}

/// Returns `true` for `step:name`, as the notes have it.
pub(crate) fn is_label(text: &str) -> bool {
    let part = |part: &str| {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        !part.is_empty() && part.bytes().all(allowed)
    };
    text.split_once(':').is_some_and(|(step, name)| part(step) && part(name))
}

/// The part of an access that a mutant weakens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Release,
    Acquire,
    /// The order of a refused compare-and-swap.
    Refused,
    Fence,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Release => "release",
            Part::Acquire => "acquire",
            Part::Refused => "refused",
            Part::Fence => "fence",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Part> {
        let all = [Part::Release, Part::Acquire, Part::Refused, Part::Fence];
        all.into_iter().find(|part| part.name() == name)
    }
}

impl Orderings {
    /// Reads the data file.
    pub(crate) fn read() -> anyhow::Result<Orderings> {
        Orderings::parse(&fs::read_to_string(FILE).context(FILE)?)
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Orderings> {
        toml::from_str(text).context(FILE)
    }

    pub(super) fn books(&self) -> [&Book; 2] {
        [&self.ring, &self.executor]
    }

    /// Returns the models of all pairs that this part of the access belongs to.
    pub(super) fn models(&self, label: &str, part: Part) -> Vec<String> {
        let mut models = Vec::new();
        for pair in self.books().into_iter().flat_map(|book| &book.pairs) {
            let has = |sides: &[Side], refused: bool| {
                let outcome = refused.then_some(Outcome::Refused);
                sides.contains(&Side { label: label.to_owned(), outcome })
            };
            let belongs = match part {
                Part::Release => has(&pair.release, false),
                Part::Acquire => has(&pair.acquire, false),
                Part::Refused => has(&pair.acquire, true),
                Part::Fence => has(&pair.release, false) || has(&pair.acquire, false),
            };
            if belongs {
                models.extend_from_slice(&pair.models);
            }
        }
        models.sort();
        models.dedup();
        models
    }

    /// Returns `true` if there is an argument for this part of the access.
    pub(super) fn is_argued(&self, label: &str, part: Part) -> bool {
        let mut argued = self.books().into_iter().flat_map(|book| &book.argued);
        argued.any(|argued| argued.label == label && argued.half == part)
    }
}

impl Book {
    /// Returns the labels of all pairs.
    pub(super) fn paired(&self) -> impl Iterator<Item = &str> {
        let sides = self.pairs.iter().flat_map(|pair| pair.release.iter().chain(&pair.acquire));
        sides.map(|side| side.label.as_str())
    }

    /// Returns all labels, with repetitions.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        let relaxed = self.relaxed.iter().flat_map(|relaxed| &relaxed.labels);
        self.paired()
            .chain(self.argued.iter().map(|argued| argued.label.as_str()))
            .chain(relaxed.map(|side| side.label.as_str()))
            .chain(self.of_models.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"
        [[ring.pair]]
        release = ["a:store"]
        acquire = ["b:load", "c:swap refused"]
        carries = "the value"
        models = ["m::one", "m::two"]
        [[ring.pair]]
        release = ["f:one"]
        acquire = ["f:two", "c:swap"]
        carries = "each other"
        models = ["m::two"]
        [[ring.argued]]
        label = "d:store"
        half = "release"
        why = "so"
        [[ring.relaxed]]
        labels = ["e:load accepted"]
        why = "so"
        [executor]
        of_models = ["model:add"]
    "#;

    #[test]
    fn models_are_found_by_the_part_of_an_access() {
        let data = Orderings::parse(DATA).unwrap();
        assert_eq!(data.models("a:store", Part::Release), ["m::one", "m::two"]);
        assert_eq!(data.models("a:store", Part::Acquire), Vec::<String>::new());
        assert_eq!(data.models("c:swap", Part::Refused), ["m::one", "m::two"]);
        assert_eq!(data.models("c:swap", Part::Acquire), ["m::two"]);
        assert_eq!(data.models("f:one", Part::Fence), ["m::two"]);
        assert_eq!(data.models("f:two", Part::Fence), ["m::two"]);
        assert!(data.is_argued("d:store", Part::Release));
        assert!(!data.is_argued("d:store", Part::Acquire));
    }

    #[test]
    fn labels_are_those_of_every_entry() {
        let data = Orderings::parse(DATA).unwrap();
        let labels: Vec<_> = data.ring.labels().collect();
        let expected =
            ["a:store", "b:load", "c:swap", "f:one", "f:two", "c:swap", "d:store", "e:load"];
        assert_eq!(labels, expected);
        assert_eq!(data.executor.labels().collect::<Vec<_>>(), ["model:add"]);
    }

    #[test]
    fn malformed_entries_are_errors() {
        for (from, to) in [
            ("a:store", "store"),
            ("a:store", "A:store"),
            ("c:swap refused", "c:swap denied"),
            ("half = \"release\"", "half = \"both\""),
            ("carries", "carried"),
        ] {
            assert!(Orderings::parse(&DATA.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
