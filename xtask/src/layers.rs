//! Imports go from a layer to the same or a lower one.
//!
//! A layer is a folder or a file at the top of a crate's source. `xtask/layers.toml` lists the
//! layers of each crate from top to bottom. The check refuses:
//!
//! * an import from a higher layer, and one from the crate's root;
//! * folders that import each other;
//! * more than three files that import each other;
//! * a top module that is in no layer or in two, and a layer without a module.
//!
//! It reads `use` items and paths that begin with `crate`, `self` or `super`, outside of tests. An
//! item that another module re-exports counts as an import from the module that defines it.

mod imports;
mod rules;
mod tree;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use rules::{Findings, Layer, Plan, check};
use tree::Tree;

/// The file that lists the layers of all crates.
const PLANS: &str = "xtask/layers.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plans {
    #[serde(rename = "crate")]
    crates: Vec<Plan>,
}

/// Checks the layers of all crates, or with `--self-test` that a seeded upward import is refused.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let text = fs::read_to_string(PLANS).context(PLANS)?;
    let plans: Plans = toml::from_str(&text).context(PLANS)?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(&plans),
        ["--self-test"] => plans.crates.iter().try_for_each(self_test),
        _ => bail!("usage: cargo xtask layers [--self-test]"),
    }
}

fn report(plans: &Plans) -> anyhow::Result<()> {
    let mut breaches = 0;
    for plan in &plans.crates {
        let tree = Tree::read(Path::new(&plan.source))?;
        let Findings { modules, file_cycles, top_cycles, breaches: found } = check(&tree, plan);
        for breach in &found {
            println!("layers: {breach}");
        }
        let largest = |cycles: &[Vec<String>]| cycles.first().map_or(0, Vec::len);
        println!(
            "layers: {}: {modules} modules; largest cycle: {} files, {} folders or top modules",
            plan.source,
            largest(&file_cycles),
            largest(&top_cycles),
        );
        breaches += found.len();
    }
    ensure!(breaches == 0, "{breaches} breaches of the layers");
    Ok(())
}

/// Seeds an import from the highest layer in the lowest one, and fails if the check accepts it.
fn self_test(plan: &Plan) -> anyhow::Result<()> {
    let mut tree = Tree::read(Path::new(&plan.source))?;
    let first = |layer: Option<&Layer>| layer.and_then(|layer| layer.modules().first()).cloned();
    let top = first(plan.layers.first()).context("no layers")?;
    let bottom = first(plan.layers.last()).context("no layers")?;
    tree.append(&bottom, &format!("use crate::{top}::Seeded as _;\n"))?;
    let seeded = &tree.modules[&bottom];
    let place = format!(
        "{}:{}: `{bottom}` imports upward",
        seeded.file.display(),
        seeded.text.lines().count()
    );
    let Findings { breaches, .. } = check(&tree, plan);
    ensure!(
        breaches.iter().any(|breach| breach.starts_with(&place)),
        "{}: a seeded import of `{top}` in `{bottom}` is not noticed",
        plan.source
    );
    println!("layers: {}: a seeded import of `{top}` in `{bottom}` is noticed", plan.source);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use tempfile::TempDir;

    /// Writes a crate's source into a temporary folder.
    pub(super) fn crate_of(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    /// Returns the breaches of a crate, with the temporary folder's name taken away.
    fn breaches(layers: &[&[&str]], files: &[(&str, &str)]) -> Vec<String> {
        let folder = crate_of(files);
        let source = folder.path().to_str().unwrap().to_owned();
        let layers = layers
            .iter()
            .map(|layer| Layer::Several(layer.iter().map(|&m| m.to_owned()).collect()))
            .collect();
        let tree = Tree::read(folder.path()).unwrap();
        let plan = Plan { source: source.clone(), layers };
        let found = check(&tree, &plan).breaches;
        found.into_iter().map(|breach| breach.replace(&source, "src")).collect()
    }

    const LIB: (&str, &str) = ("lib.rs", "mod upper;\nmod lower;\npub use upper::U;\n");

    #[test]
    fn downward_imports_are_accepted() {
        let found = breaches(
            &[&["upper"], &["lower"]],
            &[
                LIB,
                ("upper.rs", "use crate::lower::L;\npub struct U;\n"),
                ("lower.rs", "pub struct L;\n"),
            ],
        );
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn upward_imports_are_refused_with_their_place() {
        for import in [
            "use crate::upper::U;",
            "use super::upper::U;",
            "use crate::{upper::{U}};",
            "use crate::U;",
        ] {
            let lower = format!("pub struct L;\n{import}\n");
            let found = breaches(
                &[&["upper"], &["lower"]],
                &[LIB, ("upper.rs", "pub struct U;\n"), ("lower.rs", &lower)],
            );
            assert_eq!(found.len(), 1, "{import}: {found:?}");
            assert!(found[0].starts_with("src/lower.rs:2: `lower` imports upward"), "{found:?}");
        }
    }

    #[test]
    fn imports_from_the_root_are_refused() {
        let found = breaches(
            &[&["a"]],
            &[("lib.rs", "mod a;\npub struct Root;\n"), ("a.rs", "use crate::Root;\n")],
        );
        assert_eq!(found, ["src/a.rs:1: `a` imports upward: `crate::Root`, which `lib` defines"]);
    }

    #[test]
    fn folders_that_import_each_other_are_refused() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "mod x;\nmod y;\n"),
            ("a/x.rs", "pub struct X;\n"),
            ("a/y.rs", "use crate::b::z::Z;\n"),
            ("b.rs", "pub mod z;\nmod w;\n"),
            ("b/z.rs", "pub struct Z;\n"),
            ("b/w.rs", "use crate::a::x::X;\n"),
        ];
        let found = breaches(&[&["a", "b"]], &files);
        let expected = "src: folders import each other:\n    a imports b: src/a/y.rs:1\n    \
                        b imports a: src/b/w.rs:1";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn inner_folders_that_import_each_other_are_refused() {
        let files = [
            ("lib.rs", "mod a;\n"),
            ("a.rs", "mod b;\nmod c;\n"),
            ("a/b.rs", "mod x;\n"),
            ("a/b/x.rs", "use crate::a::c::C;\npub struct X;\n"),
            ("a/c.rs", "mod y;\npub struct C;\n"),
            ("a/c/y.rs", "use crate::a::b::x::X;\n"),
        ];
        let found = breaches(&[&["a"]], &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("a::b imports a::c: src/a/b/x.rs:1"), "{found:?}");
    }

    #[test]
    fn three_files_may_import_each_other_and_four_may_not() {
        let cycle = |length: usize| {
            let mut files = vec![("lib.rs".to_owned(), "mod a;\n".to_owned())];
            files.push(("a.rs".to_owned(), (0..length).map(|n| format!("mod f{n};\n")).collect()));
            for n in 0..length {
                let next = (n + 1) % length;
                files.push((
                    format!("a/f{n}.rs"),
                    format!("use super::f{next}::F;\npub struct F;\n"),
                ));
            }
            let files: Vec<_> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            breaches(&[&["a"]], &files)
        };
        assert_eq!(cycle(3), Vec::<String>::new());
        let expected = "src: 4 files import each other; at most 3 may: \
                        src/a/f0.rs src/a/f1.rs src/a/f2.rs src/a/f3.rs";
        assert_eq!(cycle(4), [expected]);
    }

    #[test]
    fn plan_and_modules_have_to_agree() {
        let found = breaches(
            &[&["a", "gone"], &["a"]],
            &[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", ""), ("b.rs", "")],
        );
        assert_eq!(
            found,
            [
                "src: the module `b` is in no layer",
                "src: the module `a` is in 2 layers",
                "src: the layer `gone` has no module",
            ]
        );
    }

    #[test]
    fn self_test_notices_its_own_seed() {
        let folder =
            crate_of(&[LIB, ("upper.rs", "pub struct U;\n"), ("lower.rs", "pub struct L;\n")]);
        let source = folder.path().to_str().unwrap().to_owned();
        let layers = vec![Layer::One("upper".to_owned()), Layer::One("lower".to_owned())];
        self_test(&Plan { source, layers }).unwrap();
        // In one layer the import is none of a higher layer.
        let source = folder.path().to_str().unwrap().to_owned();
        let layers = vec![Layer::Several(vec!["upper".to_owned(), "lower".to_owned()])];
        assert!(self_test(&Plan { source, layers }).is_err());
    }
}
