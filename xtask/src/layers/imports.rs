//! The imports of each module, resolved to the modules that define what is imported.

use std::path::PathBuf;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

use super::tree::Tree;

/// One import: a `use`, or a path in the code that begins with `crate`, `self` or `super`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    /// The module that imports.
    pub(super) from: String,
    /// The module that defines what is imported.
    pub(super) to: String,
    /// The path as the source has it, from the crate's root.
    pub(super) path: String,
}

/// Returns all imports of a crate's modules outside of tests.
pub(super) fn imports(tree: &Tree) -> Vec<Import> {
    let mut all = Vec::new();
    for (name, module) in &tree.modules {
        for (path, line) in paths(name, &module.syntax) {
            let Some(to) = definition(tree, &path, DEPTH) else { continue };
            if to != *name {
                let (file, from, path) = (module.file.clone(), name.clone(), path.join("::"));
                all.push(Import { file, line, from, to, path });
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The number of re-exports that are followed before a path is given up.
const DEPTH: usize = 16;

/// Returns the module that defines the item behind a path. Follows re-exports. Returns `None` for
/// an item that the root exports but no module of this crate defines, such as a macro.
fn definition(tree: &Tree, path: &[String], depth: usize) -> Option<String> {
    let (module, rest) = tree.longest_prefix(path);
    let Some((item, rest)) = rest.split_first() else { return Some(module) };
    let items = &tree.modules[&module].syntax.items;
    if item == "*" || defines(items, item) {
        return Some(module);
    }
    if depth > 0 {
        for (mut target, alias) in reexports(&module, items) {
            let glob = target.last().is_some_and(|last| last == "*");
            if glob {
                target.pop();
                let (behind, left) = tree.longest_prefix(&target);
                if !left.is_empty() || behind == module {
                    continue;
                }
                target.push(item.clone());
                let found = definition(tree, &target, depth - 1);
                if found.as_ref().is_some_and(|found| exists(tree, found, item)) {
                    return found;
                }
            } else if alias == *item {
                target.extend_from_slice(rest);
                return definition(tree, &target, depth - 1);
            }
        }
    }
    (!module.is_empty()).then_some(module)
}

/// Returns `true` if a module itself defines the item.
fn exists(tree: &Tree, module: &str, item: &str) -> bool {
    defines(&tree.modules[module].syntax.items, item)
}

/// Returns `true` if one of the items has the name. Modules with files are not among the answers.
fn defines(items: &[Item], name: &str) -> bool {
    items.iter().any(|item| match item {
        Item::Const(item) => item.ident == name,
        Item::Enum(item) => item.ident == name,
        Item::Fn(item) => item.sig.ident == name,
        Item::Macro(item) => item.ident.as_ref().is_some_and(|ident| ident == name),
        Item::Mod(item) => item.ident == name && item.content.is_some(),
        Item::Static(item) => item.ident == name,
        Item::Struct(item) => item.ident == name,
        Item::Trait(item) => item.ident == name,
        Item::TraitAlias(item) => item.ident == name,
        Item::Type(item) => item.ident == name,
        Item::Union(item) => item.ident == name,
        _ => false,
    })
}

/// Returns what the `use` items bring into a module from this crate: the path from the root and the
/// name in the module. A glob has the name `*`.
fn reexports(module: &str, items: &[Item]) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    for item in items {
        let Item::Use(item) = item else { continue };
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, alias, _) in leaves {
            // A path without a keyword begins with a child module or with another crate. The
            // latter resolves to nothing.
            let path = absolute(module, 0, &path).unwrap_or_else(|| {
                let mut relative = segments(module);
                relative.extend(path);
                relative
            });
            found.push((path, alias));
        }
    }
    found
}

/// Returns the paths that begin with `crate`, `self` or `super`, from the root, and their lines.
fn paths(module: &str, syntax: &syn::File) -> Vec<(Vec<String>, usize)> {
    let mut collector = Collector { module, inline: 0, found: Vec::new() };
    collector.visit_file(syntax);
    collector.found
}

struct Collector<'a> {
    module: &'a str,
    /// The number of modules within the file that surround the visited item.
    inline: usize,
    found: Vec<(Vec<String>, usize)>,
}

impl Collector<'_> {
    fn add(&mut self, path: &[String], span: Span) {
        if let Some(path) = absolute(self.module, self.inline, path) {
            if !path.is_empty() {
                self.found.push((path, span.start().line));
            }
        }
    }

    /// Finds paths in the arguments of a macro, which are mere tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |index: usize, sign: char| match tokens.get(index) {
            Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
            _ => false,
        };
        let mut next = 0;
        while next < tokens.len() {
            let start = next;
            next += 1;
            match &tokens[start] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    let mut path = vec![ident.to_string()];
                    while is(next, ':') && is(next + 1, ':') {
                        match tokens.get(next + 2) {
                            Some(TokenTree::Ident(segment)) => path.push(segment.to_string()),
                            Some(TokenTree::Group(group))
                                if group.delimiter() == Delimiter::Brace => {}
                            _ => break,
                        }
                        next += 3;
                    }
                    let foreign = start >= 2 && is(start - 1, ':') && is(start - 2, ':');
                    if path.len() > 1 && !foreign {
                        self.add(&path, ident.span());
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.inline += 1;
            visit::visit_item_mod(self, item);
            self.inline -= 1;
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, _, span) in leaves {
            self.add(&path, span);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
            self.add(&segments, path.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    /// `pub(in path)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Takes the groups of a `use` apart. Each leaf has its path, its name in the module and its place.
fn flatten(
    tree: &UseTree,
    prefix: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, String, Span)>,
) {
    let mut leaf = |last: Option<String>, alias: String, span: Span| {
        let mut path = prefix.clone();
        path.extend(last);
        leaves.push((path, alias, span));
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, leaves);
            }
        }
        // `use path::{self}` imports the module itself.
        UseTree::Name(name) if name.ident == "self" && !prefix.is_empty() => {
            leaf(None, prefix.last().cloned().unwrap_or_default(), name.ident.span());
        }
        UseTree::Rename(name) if name.ident == "self" && !prefix.is_empty() => {
            leaf(None, name.rename.to_string(), name.ident.span());
        }
        UseTree::Name(name) => {
            leaf(Some(name.ident.to_string()), name.ident.to_string(), name.ident.span());
        }
        UseTree::Rename(name) => {
            leaf(Some(name.ident.to_string()), name.rename.to_string(), name.ident.span());
        }
        UseTree::Glob(glob) => leaf(Some("*".to_owned()), "*".to_owned(), glob.span()),
    }
}

/// Returns a path from the crate's root, or `None` if it does not begin with a keyword. `inline`
/// modules within the file stand between the path and the file's module.
fn absolute(module: &str, inline: usize, path: &[String]) -> Option<Vec<String>> {
    let mut inline = inline;
    let mut base = segments(module);
    let mut rest = path;
    match rest.split_first()? {
        (first, tail) if first == "crate" => return Some(tail.to_vec()),
        (first, tail) if first == "self" => rest = tail,
        (first, _) if first == "super" => {}
        _ => return None,
    }
    while let Some((first, tail)) = rest.split_first() {
        if first != "super" {
            break;
        }
        rest = tail;
        if inline > 0 {
            inline -= 1;
        } else {
            base.pop();
        }
    }
    // A path into a module within the file ends at the file's module.
    if inline == 0 {
        base.extend_from_slice(rest);
    }
    Some(base)
}

/// Splits the path of a module.
fn segments(module: &str) -> Vec<String> {
    module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::tests::crate_of;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let folder = crate_of(files);
        let tree = Tree::read(folder.path()).unwrap();
        imports(&tree)
            .into_iter()
            .map(|import| format!("{}:{} {}", import.from, import.line, import.to))
            .collect()
    }

    #[test]
    fn groups_keywords_and_paths_are_found() {
        let found = found(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
            (
                "a.rs",
                "use crate::{b::{self, B},\n    c::C as Other};\nuse std::fmt::{self, Debug};\n",
            ),
            ("b.rs", "pub struct B;\nfn f() { let _ = super::c::C; }\n"),
            ("c.rs", "pub struct C;\nfn f() { assert!(x == crate::d::D); }\n"),
            ("d.rs", "pub struct D;\nmod inner { use super::super::c::C; use super::D; }\n"),
        ]);
        assert_eq!(found, ["a:1 b", "a:1 b", "a:2 c", "b:2 c", "c:2 d", "d:2 c"]);
    }

    #[test]
    fn reexports_are_followed_to_the_definition() {
        let found = found(&[
            ("lib.rs", "mod a;\nmod user;\npub use a::A;\n"),
            ("a.rs", "mod deep;\nmod glob;\npub use deep::A;\npub use self::glob::*;\n"),
            ("a/deep.rs", "pub struct A;\n"),
            ("a/glob.rs", "pub fn g() {}\n"),
            ("user.rs", "use crate::A;\nuse crate::a::A as Other;\nuse crate::a::g;\n"),
        ]);
        let of_user: Vec<_> = found.iter().filter(|import| import.starts_with("user")).collect();
        assert_eq!(of_user, ["user:1 a::deep", "user:2 a::deep", "user:3 a::glob"]);
    }

    #[test]
    fn tests_and_visibilities_do_not_count() {
        let found = found(&[
            ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod missing;\n"),
            (
                "a.rs",
                "pub(in crate::b) struct A;\n#[cfg(test)]\nuse crate::b::B;\n\
                 #[cfg(all(test, unix))]\nmod tests { use crate::b::B; }\n\
                 impl A { #[cfg(test)] fn f(_: crate::b::B) {} }\n",
            ),
            ("b.rs", "pub struct B;\n"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn items_of_the_root_count_and_unknown_ones_do_not() {
        let found = found(&[
            ("lib.rs", "mod a;\npub const LIMIT: u32 = 1;\n"),
            ("a.rs", "use crate::LIMIT;\nuse crate::macro_of_another_file;\n"),
        ]);
        assert_eq!(found, ["a:1 "]);
    }
}
