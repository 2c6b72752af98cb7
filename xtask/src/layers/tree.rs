//! The modules of a crate and the files that contain them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use syn::{Item, ItemMod};

use crate::syntax;

/// One module with a file of its own. Modules written inside braces belong to their file's module.
pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) syntax: syn::File,
}

/// All modules of one crate by their path, such as `pool::stock`. The root's path is empty.
pub(super) struct Tree {
    pub(super) modules: BTreeMap<String, Module>,
}

impl Tree {
    /// Reads the crate whose root is `lib.rs` in the folder `source`, without its test modules.
    pub(super) fn read(source: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree { modules: BTreeMap::new() };
        tree.add(String::new(), source.join("lib.rs"), source.to_owned())?;
        Ok(tree)
    }

    /// Reads one file and the files of its submodules, which stand in the folder `children`.
    fn add(&mut self, name: String, file: PathBuf, children: PathBuf) -> anyhow::Result<()> {
        let (text, syntax) = syntax::read(&file)?;
        let mut declared = Vec::new();
        collect(&syntax.items, &name, &file, &children, &mut declared)?;
        self.modules.insert(name, Module { file, text, syntax });
        for (name, file, children) in declared {
            self.add(name, file, children)?;
        }
        Ok(())
    }

    /// Appends one line to the source of a module, as if it stood in its file.
    pub(super) fn append(&mut self, name: &str, line: &str) -> anyhow::Result<()> {
        let module = self.modules.get_mut(name).context("no such module")?;
        if !module.text.ends_with('\n') {
            module.text.push('\n');
        }
        module.text.push_str(line);
        module.syntax = syntax::parse(&module.text, &module.file)?;
        Ok(())
    }

    /// Returns the longest prefix of the path that is a module, and the segments that are left.
    pub(super) fn longest_prefix<'a>(&self, path: &'a [String]) -> (String, &'a [String]) {
        let mut name = String::new();
        for (index, segment) in path.iter().enumerate() {
            let longer = join(&name, segment);
            if !self.modules.contains_key(&longer) {
                return (name, &path[index..]);
            }
            name = longer;
        }
        (name, &[])
    }
}

/// Returns the path of the module `child` of `parent`.
pub(super) fn join(parent: &str, child: &str) -> String {
    if parent.is_empty() { child.to_owned() } else { format!("{parent}::{child}") }
}

/// Collects the modules that the items declare and that have files of their own.
fn collect(
    items: &[Item],
    name: &str,
    file: &Path,
    children: &Path,
    declared: &mut Vec<(String, PathBuf, PathBuf)>,
) -> anyhow::Result<()> {
    for item in items {
        let Item::Mod(item) = item else { continue };
        let child = item.ident.to_string();
        let folder = children.join(&child);
        if let Some((_, items)) = &item.content {
            collect(items, name, file, &folder, declared)?;
            continue;
        }
        let candidates = match explicit_path(item) {
            Some(path) => vec![file.with_file_name(path)],
            None => vec![children.join(format!("{child}.rs")), folder.join("mod.rs")],
        };
        let found = candidates
            .iter()
            .find(|candidate| candidate.is_file())
            .with_context(|| format!("{}: the module `{child}` has no file", file.display()))?;
        declared.push((join(name, &child), found.clone(), folder));
    }
    Ok(())
}

/// Returns the file that a `#[path = "..."]` names.
fn explicit_path(item: &ItemMod) -> Option<String> {
    item.attrs.iter().find_map(|attribute| {
        let syn::Meta::NameValue(meta) = &attribute.meta else { return None };
        if !meta.path.is_ident("path") {
            return None;
        }
        let syn::Expr::Lit(literal) = &meta.value else { return None };
        let syn::Lit::Str(path) = &literal.lit else { return None };
        Some(path.value())
    })
}
