//! The functions of a crate, and where each stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::tokens::{self, Token};

/// The files of one crate.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) files: Vec<File>,
}

/// One file, its tokens and its functions.
#[derive(Debug)]
pub(crate) struct File {
    /// The path from the root of the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(super) tokens: Vec<Token>,
    pub(crate) functions: Vec<Function>,
}

/// One function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    /// Modules, types and functions around it, then its own name: `hub`, `Calls`, `left`.
    names: Vec<String>,
    /// The bytes from its signature to the end of its body.
    pub(crate) bytes: Range<usize>,
    /// The line of its name.
    pub(crate) line: usize,
}

impl Source {
    /// Reads all files in the folder `crate_name/src` of the workspace at `root`.
    pub(crate) fn read(root: &Path, crate_name: &str) -> anyhow::Result<Self> {
        let mut paths = Vec::new();
        list(&root.join(crate_name).join("src"), &mut paths)?;
        paths.sort();
        let files = paths.iter().map(|path| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading {}", path.display()))?;
            File::parse(path.strip_prefix(root)?.to_owned(), text)
        });
        Ok(Self { files: files.collect::<anyhow::Result<_>>()? })
    }
}

impl File {
    /// Parses the source of one file. The path names its modules.
    pub(crate) fn parse(path: PathBuf, text: String) -> anyhow::Result<Self> {
        let in_file = || format!("parsing {}", path.display());
        let syntax = syn::parse_file(&text).with_context(in_file)?;
        let tokens = tokens::tokens(&text).with_context(in_file)?;
        let mut functions = Functions { around: modules(&path), found: Vec::new() };
        functions.visit_file(&syntax);
        Ok(Self { tokens, functions: functions.found, path, text })
    }

    /// Returns the innermost function around these bytes.
    pub(crate) fn innermost(&self, bytes: Range<usize>) -> Option<&Function> {
        let holds = |function: &&Function| {
            function.bytes.start <= bytes.start && bytes.end <= function.bytes.end
        };
        self.functions.iter().filter(holds).min_by_key(|function| function.bytes.len())
    }

    /// Returns the tokens of a function.
    pub(super) fn tokens_of(&self, function: &Function) -> &[Token] {
        let first = self.tokens.partition_point(|token| token.bytes.start < function.bytes.start);
        let end = self.tokens.partition_point(|token| token.bytes.start < function.bytes.end);
        &self.tokens[first..end]
    }
}

impl Function {
    /// Returns `true` if the function's full name ends in the parts of `name`, such as
    /// `Calls::left`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let wanted: Vec<&str> = name.split("::").collect();
        self.names.iter().rev().zip(wanted.iter().rev()).all(|(own, wanted)| own == wanted)
            && wanted.len() <= self.names.len()
    }

    /// Returns the full name within the crate.
    pub(crate) fn name(&self) -> String {
        self.names.join("::")
    }
}

/// Lists the Rust files in a folder and all folders in it.
fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("reading the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Returns the modules that the path of a file stands for: `hub` for `executor/src/hub.rs`.
fn modules(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        path.with_extension("").iter().skip(2).map(|name| name.to_string_lossy().into()).collect();
    if names.last().is_some_and(|name| matches!(&**name, "lib" | "main" | "mod")) {
        names.pop();
    }
    names
}

/// Collects functions together with the names around them.
struct Functions {
    around: Vec<String>,
    found: Vec<Function>,
}

impl Functions {
    fn inside(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.around.push(name);
        visit(self);
        self.around.pop();
    }

    fn function(
        &mut self,
        signature: &syn::Signature,
        body: &syn::Block,
        visit: impl FnOnce(&mut Self),
    ) {
        let start = signature.span().byte_range().start;
        let end = body.brace_token.span.close().byte_range().end;
        self.inside(signature.ident.to_string(), |this| {
            this.found.push(Function {
                names: this.around.clone(),
                bytes: start..end,
                line: signature.ident.span().start().line,
            });
            visit(this);
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside(item.ident.to_string(), |this| visit::visit_item_mod(this, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.inside(type_name(&item.self_ty), |this| visit::visit_item_impl(this, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(item.ident.to_string(), |this| visit::visit_item_trait(this, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, |this| visit::visit_item_fn(this, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |this| visit::visit_impl_item_fn(this, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body, |this| visit::visit_trait_item_fn(this, item));
        }
    }
}

/// Returns the name of the type of an `impl`, without its generics.
fn type_name(of: &syn::Type) -> String {
    match of {
        syn::Type::Path(path) => {
            path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
        }
        syn::Type::Reference(reference) => type_name(&reference.elem),
        syn::Type::Paren(paren) => type_name(&paren.elem),
        _ => "_".to_owned(),
    }
}
