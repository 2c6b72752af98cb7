//! Modules that use only the public interface of their crate, as if they were another crate.

use std::collections::BTreeSet;

use syn::{Item, UseTree, Visibility};

use super::imports::Import;
use super::rules::{Plan, top};
use super::tree::Tree;

/// Returns a message for each import of an item that other crates cannot import.
pub(super) fn private_imports(tree: &Tree, imports: &[Import], plan: &Plan) -> Vec<String> {
    let public = public_items(tree);
    let is_foreign = |import: &&Import| {
        let from = top(&import.from);
        plan.public_only.iter().any(|module| module == from) && top(&import.to) != from
    };
    let is_private = |import: &&Import| {
        let mut path = String::new();
        !import.path.split("::").any(|segment| {
            path.push_str(if path.is_empty() { "" } else { "::" });
            path.push_str(segment);
            public.contains(&path)
        })
    };
    let private = imports.iter().filter(is_foreign).filter(is_private);
    let message = |Import { file, line, from, path, .. }: &Import| {
        let file = file.display();
        format!("{file}:{line}: `{from}` imports `crate::{path}`, which is not public")
    };
    private.map(message).collect()
}

/// Returns the paths of the items that the root exports, itself or by a public module.
fn public_items(tree: &Tree) -> BTreeSet<String> {
    let Some(root) = tree.modules.get("") else { return BTreeSet::new() };
    let mut public = BTreeSet::new();
    for item in &root.syntax.items {
        match item {
            Item::Mod(module) if is_public(&module.vis) => {
                let Some(inner) = tree.modules.get(&module.ident.to_string()) else { continue };
                let names = inner.syntax.items.iter().flat_map(public_names);
                public.extend(names.map(|name| format!("{}::{name}", module.ident)));
            }
            item => public.extend(public_names(item)),
        }
    }
    public
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Returns the names of an item that are public.
fn public_names(item: &Item) -> Vec<String> {
    let mut names = Vec::new();
    match item {
        Item::Use(item) if is_public(&item.vis) => leaves(&item.tree, &mut names),
        Item::Const(item) if is_public(&item.vis) => names.push(item.ident.to_string()),
        Item::Enum(item) if is_public(&item.vis) => names.push(item.ident.to_string()),
        Item::Fn(item) if is_public(&item.vis) => names.push(item.sig.ident.to_string()),
        Item::Struct(item) if is_public(&item.vis) => names.push(item.ident.to_string()),
        Item::Trait(item) if is_public(&item.vis) => names.push(item.ident.to_string()),
        Item::Type(item) if is_public(&item.vis) => names.push(item.ident.to_string()),
        _ => {}
    }
    names
}

fn leaves(tree: &UseTree, names: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => leaves(&path.tree, names),
        UseTree::Name(name) => names.push(name.ident.to_string()),
        UseTree::Rename(rename) => names.push(rename.rename.to_string()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, names)),
        UseTree::Glob(_) => {}
    }
}
