//! The numbers of calls and outcomes of each kind.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub(crate) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(crate) fn add_all(&mut self, other: &Counts) {
        other.0.iter().for_each(|(name, count)| *self.0.entry(name).or_default() += count);
    }

    /// Panics if one of the names never occurred, for it was not checked.
    pub(crate) fn assert_all(&self, names: &[&str]) {
        let missing: Vec<_> = names.iter().filter(|&name| !self.0.contains_key(name)).collect();
        assert!(missing.is_empty(), "never occurred: {missing:?}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, count) in &self.0 {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
        Ok(())
    }
}
