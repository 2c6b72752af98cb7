//! Parsed Rust source without the items that only tests compile.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Block, Expr, File, ImplItem, Item, ItemImpl, ItemMod, ItemTrait, Stmt, TraitItem,
};

/// Reads and parses one file. Returns its text and its syntax without tests.
pub(crate) fn read(path: &Path) -> anyhow::Result<(String, File)> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let syntax = parse(&text, path)?;
    Ok((text, syntax))
}

/// Parses the text of one file. The path is for the error message.
pub(crate) fn parse(text: &str, path: &Path) -> anyhow::Result<File> {
    let mut file = syn::parse_file(text).map_err(|error| {
        let line = error.span().start().line;
        anyhow::anyhow!("{}:{line}: cannot be parsed: {error}", path.display())
    })?;
    WithoutTests.visit_file_mut(&mut file);
    Ok(file)
}

/// Returns the Rust files in a folder and the folders in it, in order. Leaves out the folders and
/// files with one of the names.
pub(crate) fn files(folder: &Path, except: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if except.iter().any(|name| path.file_name().is_some_and(|file| file == *name)) {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path, except)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Removes items and statements that only tests compile.
struct WithoutTests;

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut File) {
        file.items.retain(|item| !only_in_tests(attributes(item)));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !only_in_tests(attributes(item)));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut ItemImpl) {
        block.items.retain(|item| {
            !only_in_tests(match item {
                ImplItem::Const(item) => &item.attrs,
                ImplItem::Fn(item) => &item.attrs,
                ImplItem::Macro(item) => &item.attrs,
                ImplItem::Type(item) => &item.attrs,
                _ => &[],
            })
        });
        visit_mut::visit_item_impl_mut(self, block);
    }

    fn visit_item_trait_mut(&mut self, item: &mut ItemTrait) {
        item.items.retain(|item| {
            !only_in_tests(match item {
                TraitItem::Const(item) => &item.attrs,
                TraitItem::Fn(item) => &item.attrs,
                TraitItem::Macro(item) => &item.attrs,
                TraitItem::Type(item) => &item.attrs,
                _ => &[],
            })
        });
        visit_mut::visit_item_trait_mut(self, item);
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        block.stmts.retain(|statement| {
            !only_in_tests(match statement {
                Stmt::Local(local) => &local.attrs,
                Stmt::Item(item) => attributes(item),
                Stmt::Macro(call) => &call.attrs,
                Stmt::Expr(Expr::Block(block), _) => &block.attrs,
                Stmt::Expr(Expr::Call(call), _) => &call.attrs,
                Stmt::Expr(Expr::If(branch), _) => &branch.attrs,
                Stmt::Expr(Expr::MethodCall(call), _) => &call.attrs,
                Stmt::Expr(..) => &[],
            })
        });
        visit_mut::visit_block_mut(self, block);
    }
}

/// Returns the attributes of an item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns `true` if a `#[cfg]` among the attributes holds in a build for tests alone.
fn only_in_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<TokenStream>()
                .is_ok_and(|predicate| value(&mut predicate.into_iter()) == Some(false))
    })
}

/// Evaluates one `#[cfg]` predicate for a build that is no test. `None` stands for "depends".
fn value(tokens: &mut impl Iterator<Item = TokenTree>) -> Option<bool> {
    let Some(TokenTree::Ident(name)) = tokens.next() else { return None };
    if name == "test" || name == "doctest" {
        return Some(false);
    }
    let Some(TokenTree::Group(group)) = tokens.next() else { return None };
    let mut operands = Vec::new();
    for token in group.stream() {
        if matches!(&token, TokenTree::Punct(comma) if comma.as_char() == ',') {
            operands.push(Vec::new());
        } else {
            if operands.is_empty() {
                operands.push(Vec::new());
            }
            operands.last_mut()?.push(token);
        }
    }
    operands.retain(|operand| !operand.is_empty());
    let values: Vec<_> =
        operands.into_iter().map(|operand| value(&mut operand.into_iter())).collect();
    match name.to_string().as_str() {
        "not" => values.first().copied().flatten().map(|value| !value),
        "all" if values.contains(&Some(false)) => Some(false),
        "all" if values.contains(&None) => None,
        "all" => Some(true),
        "any" if values.contains(&Some(true)) => Some(true),
        "any" if values.contains(&None) => None,
        "any" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use quote::ToTokens as _;

    fn only_in_tests_of(attribute: &str) -> bool {
        let item: syn::ItemMod = syn::parse_str(&format!("{attribute} mod name;")).unwrap();
        only_in_tests(&item.attrs)
    }

    #[test]
    fn test_predicates_are_told_from_others() {
        for attribute in [
            "#[cfg(test)]",
            "#[cfg(doctest)]",
            "#[cfg(all(test, not(reorder_loom)))]",
            "#[cfg(any(test, doctest))]",
            "#[cfg(not(not(test)))]",
        ] {
            assert!(only_in_tests_of(attribute), "{attribute}");
        }
        for attribute in [
            "",
            "#[cfg(not(test))]",
            "#[cfg(any(test, reorder_loom))]",
            "#[cfg(feature = \"pool\")]",
            "#[cfg(all(unix, not(test)))]",
            "#[doc(hidden)]",
        ] {
            assert!(!only_in_tests_of(attribute), "{attribute}");
        }
    }

    #[test]
    fn test_items_are_removed_everywhere() {
        let text = "#[cfg(test)] use a::A;\nmod m { #[cfg(test)] fn f() {} fn g() {} }\n\
                    impl S { #[cfg(test)] fn h() {} fn i() { #[cfg(test)] let x = 1; } }\n\
                    trait T { #[cfg(test)] fn j(); }\n#[cfg(all(test, unix))] mod tests;\n";
        let file = parse(text, Path::new("a.rs")).unwrap();
        let expected = "mod m { fn g() {} }\nimpl S { fn i() {} }\ntrait T {}\n";
        assert_eq!(
            file.to_token_stream().to_string(),
            syn::parse_file(expected).unwrap().to_token_stream().to_string()
        );
    }

    #[test]
    fn files_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.rs", "a/c.rs", "a/tests/d.rs", "a/e.md", "tests.rs"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = files(folder.path(), &["tests", "tests.rs"]).unwrap();
        assert_eq!(found, [folder.path().join("a/c.rs"), folder.path().join("b.rs")]);
    }
}
