//! The files in `faults/`: one for each group, with the faults as entries.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// All groups, by name.
#[derive(Debug)]
pub(super) struct Groups(BTreeMap<String, Group>);

/// The content of `faults/GROUP.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// Faults of other groups that the tests of this group must notice as well, as `GROUP/NAME`.
    #[serde(default)]
    borrows: Vec<String>,
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
}

/// One change of the source that the tests must notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) name: String,
    /// Says in plain words how the faulty code behaves.
    pub(super) description: String,
    /// The test that must fail. Without it, any test of the group.
    pub(super) noticed_by: Option<String>,
    /// `true` for the few faults of a group that the checks of every change try.
    #[serde(default)]
    pub(super) canary: bool,
    #[serde(rename = "edit")]
    pub(super) edits: Vec<Edit>,
}

/// One text in one function, and what stands there instead.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// The folder of the crate.
    #[serde(rename = "crate")]
    pub(super) crate_name: String,
    /// `name`, `Type::name` or, where that is ambiguous, `module::Type::name`.
    pub(super) function: String,
    pub(super) text: String,
    pub(super) replacement: String,
}

impl Groups {
    /// Reads every group in the folder `faults` of the workspace at `root`.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut groups = BTreeMap::new();
        let folder = root.join("faults");
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("reading the folder {}", folder.display()))?
        {
            let path = entry?.path();
            let (Some(name), Some("toml")) = (
                path.file_stem().and_then(|name| name.to_str()),
                path.extension().and_then(|extension| extension.to_str()),
            ) else {
                continue;
            };
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("reading {}", path.display()))?;
            let group = toml::from_str(&text).with_context(|| path.display().to_string())?;
            groups.insert(name.to_owned(), group);
        }
        let groups = Self(groups);
        groups.check()?;
        Ok(groups)
    }

    /// Returns each fault once, with the name of its group.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.0.iter().flat_map(|(name, group)| group.faults.iter().map(move |f| (&**name, f)))
    }

    /// Returns the faults of a group, including the borrowed ones.
    pub(super) fn of(&self, name: &str) -> anyhow::Result<Vec<&Fault>> {
        let Some(group) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().map(|name| &**name).collect();
            bail!("there is no group `{name}`; the groups are {}", known.join(", "));
        };
        let borrowed = group.borrows.iter().map(|name| self.fault(name));
        group.faults.iter().map(Ok).chain(borrowed).collect()
    }

    /// Returns the fault called `GROUP/NAME`, or `NAME` alone.
    pub(super) fn fault(&self, name: &str) -> anyhow::Result<&Fault> {
        let found = self.all().find(|(group, fault)| match name.split_once('/') {
            Some((in_group, name)) => in_group == *group && name == fault.name,
            None => name == fault.name,
        });
        found.map(|(_, fault)| fault).with_context(|| format!("there is no fault `{name}`"))
    }

    /// Refuses two faults of one name, entries without content, and borrowed faults that do not
    /// exist.
    fn check(&self) -> anyhow::Result<()> {
        let mut names = BTreeMap::new();
        for (group, fault) in self.all() {
            let name = &fault.name;
            if let Some(other) = names.insert(name, group) {
                bail!("{group}/{name}: there is a fault of this name in `{other}` already");
            }
            ensure!(!fault.description.trim().is_empty(), "{group}/{name}: no description");
            ensure!(!fault.edits.is_empty(), "{group}/{name}: no edit");
            // The tests of these groups run one at a time.
            let is_named = group == "models" || group.ends_with("_tests");
            let names_test = fault.noticed_by.is_some() || !is_named;
            ensure!(names_test, "{group}/{name}: no test that must notice it");
        }
        for group in self.0.keys() {
            self.of(group).with_context(|| format!("faults/{group}.toml"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(files: &[(&str, &str)]) -> anyhow::Result<Groups> {
        let parsed = files.iter().map(|(name, text)| Ok((name.to_string(), toml::from_str(text)?)));
        let groups = Groups(parsed.collect::<anyhow::Result<_>>()?);
        groups.check()?;
        Ok(groups)
    }

    const ENTRY: &str = r#"
[[fault]]
name = "silent"
description = "It wakes nobody."
noticed_by = "wake::one"

[[fault.edit]]
crate = "reorder"
function = "Ring::wake"
text = '''
self.wake();
'''
replacement = ''
"#;

    #[test]
    fn entry_is_found_by_its_name() {
        let groups = groups(&[("models", ENTRY)]).unwrap();
        for name in ["silent", "models/silent"] {
            assert_eq!(groups.fault(name).unwrap().noticed_by.as_deref(), Some("wake::one"));
        }
        assert!(groups.fault("other/silent").is_err());
        assert!(groups.fault("models/loud").is_err());
        assert!(groups.of("other").is_err());
    }

    #[test]
    fn group_borrows_faults() {
        let groups = groups(&[("models", ENTRY), ("more", "borrows = ['models/silent']")]).unwrap();
        assert_eq!(groups.of("more").unwrap()[0].name, "silent");
        assert_eq!(groups.all().count(), 1);
    }

    #[test]
    fn mistakes_are_refused() {
        let twice = [("models", ENTRY), ("other", ENTRY)];
        let unknown = [("models", ENTRY), ("more", "borrows = ['models/loud']")];
        assert!(format!("{:#}", groups(&twice).unwrap_err()).contains("already"));
        assert!(format!("{:#}", groups(&unknown).unwrap_err()).contains("models/loud"));
        let no_model = ENTRY.replace("noticed_by = \"wake::one\"", "");
        assert!(groups(&[("models", &no_model)]).is_err());
        assert!(groups(&[("ring_tests", &no_model)]).is_err());
        assert!(groups(&[("progress", &no_model)]).is_ok());
        assert!(groups(&[("models", &ENTRY.replace("function", "file"))]).is_err());
        assert!(groups(&[("models", &ENTRY.replace("It wakes nobody.", ""))]).is_err());
    }
}
