//! Faults that the tests must notice.
//!
//! A test that has never failed proves nothing. Each entry in `faults/` is a small change of the
//! source that breaks what some test guards. An entry names a function, a text in it, and the text
//! that replaces it. It names no file, and white space and comments do not matter. So an entry
//! still applies after code was moved or formatted.
//!
//! | module | does |
//! |---|---|
//! | `entries` | reads `faults/` |
//! | `tokens` | splits source into tokens, and finds some of them among others |
//! | `source` | lists the functions of a crate |
//! | `apply` | finds the text of an entry and replaces it |
//! | `copy` | copies the workspace and applies an entry to the copy |
//! | `run` | builds a copy for each entry, runs tests, and says whether they noticed |

mod apply;
pub(crate) mod copy;
mod entries;
mod run;
pub(crate) mod source;
mod suites;
mod tokens;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use apply::Workspace;
use entries::Groups;

const USAGE: &str = "usage:
  cargo xtask faults check                 checks that every entry applies, and the result is Rust
  cargo xtask faults list [GROUP]          lists names, tests and descriptions
  cargo xtask faults apply FAULT DIR       copies the workspace into the empty folder DIR,
                                           with the fault
  cargo xtask faults run GROUP [FAULT...]  runs the tests of a group against its faults, or some;
                                           `--canary` instead of names for a few of them";

/// Runs the subcommand that the arguments name.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let root = std::env::current_dir()?;
    let groups = Groups::read(&root)?;
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    match &arguments[..] {
        ["check"] => check(&root, &groups),
        ["list"] => {
            list(groups.all().map(|(_, fault)| fault));
            Ok(())
        }
        ["list", group] => {
            list(groups.of(group)?.into_iter());
            Ok(())
        }
        ["apply", name, folder] => apply(name, Path::new(folder)),
        ["run", group, names @ ..] => run::run(&root, &groups, group, names),
        _ => bail!("{USAGE}"),
    }
}

/// Returns the names of the faults in a group.
pub(crate) fn names(group: &str) -> anyhow::Result<Vec<String>> {
    let groups = Groups::read(&std::env::current_dir()?)?;
    Ok(groups.of(group)?.iter().map(|fault| fault.name.clone()).collect())
}

/// Copies the workspace into a folder that is empty or does not exist, with a fault.
pub(crate) fn apply(name: &str, folder: &Path) -> anyhow::Result<()> {
    let root = std::env::current_dir()?;
    copy::with_fault(&root, Groups::read(&root)?.fault(name)?, folder)
}

/// Fails unless every entry applies, and the test that it names exists.
fn check(root: &Path, groups: &Groups) -> anyhow::Result<()> {
    let mut workspace = Workspace::new(root);
    let mut count = 0;
    let mut failed = 0;
    for (group, fault) in groups.all() {
        count += 1;
        let test = suites::check(group, fault);
        if let Err(error) = workspace.changed(fault).map(drop).and(test) {
            failed += 1;
            println!("faults: {group}/{}: {error:#}", fault.name);
        }
    }
    if failed > 0 {
        bail!("{failed} of {count} entries do not fit the source: change them with it");
    }
    println!("faults: {count} entries apply");
    check_example(root)
}

/// Fails unless the example in CONTRIBUTING.md is a fault of the models.
fn check_example(root: &Path) -> anyhow::Result<()> {
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| file.to_owned());
    let (page, models) = (read("CONTRIBUTING.md")?, read("faults/models.toml")?);
    let (_, example) = page.split_once("```toml\n").context("CONTRIBUTING.md has no example")?;
    let (example, _) = example.split_once("```").context("the example has no end")?;
    ensure!(
        models.contains(example),
        "the example in CONTRIBUTING.md is not in faults/models.toml"
    );
    Ok(())
}

fn list<'a>(faults: impl Iterator<Item = &'a entries::Fault>) {
    for fault in faults {
        let words: Vec<&str> = fault.description.split_whitespace().collect();
        let test = fault.noticed_by.as_deref().unwrap_or("any test of the group");
        println!("{} ({test}): {}", fault.name, words.join(" "));
    }
}
