//! Finds the statements of a file that can be changed, and the changes.

use std::ops::Range;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Block, Expr, Local, Pat, Stmt};

use crate::faults::source;
use crate::syntax;

/// A change of one place of a file.
#[derive(Clone, Debug)]
pub(super) struct Mutant {
    /// The path from the root of the workspace.
    pub(super) path: PathBuf,
    /// The full name of the function within its crate.
    pub(super) function: String,
    /// The name of the mutant within its function: the change in words.
    pub(super) change: String,
    /// The lines of the statements that change.
    pub(super) lines: Range<usize>,
    /// The bytes that `replacement` replaces.
    bytes: Range<usize>,
    replacement: String,
}

impl Mutant {
    /// Returns the file with the change.
    pub(super) fn apply(&self, text: &str) -> String {
        let Range { start, end } = self.bytes;
        format!("{}{}{}", &text[..start], self.replacement, &text[end..])
    }
}

/// Parts of functions in which threads meet.
const SHARED: &[&str] = &[
    "Relaxed", "Acquire", "Release", "AcqRel", "SeqCst", "fence(", "lock(", "wake", "notify",
    "unpark",
];

/// Parts of statements whose time other threads may see.
const VISIBLE: &[&str] = &[
    ".load(",
    ".store(",
    ".swap(",
    ".fetch_",
    ".compare_exchange",
    "fence(",
    "lock(",
    "wake",
    "notify",
    "unpark",
    "drop(",
    "discard(",
    // Calls of functions with such parts.
    ".abandon(",
    ".abort(",
    ".announce(",
    ".cancel(",
    ".charge(",
    ".clear",
    ".close(",
    ".complete",
    ".count_",
    ".declare",
    ".end(",
    ".ended(",
    ".enter(",
    ".fail(",
    ".finish",
    ".leave",
    ".let_go(",
    ".note_",
    ".publish",
    ".push(",
    ".put",
    ".register",
    ".release",
    ".reopen(",
    ".retire(",
    ".run",
    ".set_",
    ".stop",
    ".store_head(",
    ".take(",
    ".try_retire(",
    ".turn(",
    ".vacate(",
    ".withdraw(",
    "pin()",
];

fn has_one_of(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

/// Returns the mutants of one file, in the order of its lines.
pub(super) fn mutants(root: &Path, path: &Path) -> anyhow::Result<Vec<Mutant>> {
    let (text, syntax) = syntax::read(&root.join(path))?;
    of_text(path, text, &syntax)
}

fn of_text(path: &Path, text: String, syntax: &syn::File) -> anyhow::Result<Vec<Mutant>> {
    let file = source::File::parse(path.to_owned(), text)?;
    let mut finder = Finder { file: &file, found: Vec::new() };
    finder.visit_file(syntax);
    let mut found = finder.found;
    number_equal_names(&mut found);
    Ok(found)
}

/// Adds a number to the names of mutants that their function has more than once.
fn number_equal_names(mutants: &mut [Mutant]) {
    for at in (0..mutants.len()).rev() {
        let (before, rest) = mutants.split_at_mut(at);
        let Some(this) = rest.first_mut() else { continue };
        let same = |other: &&Mutant| other.function == this.function && other.change == this.change;
        let earlier = before.iter().filter(same).count();
        if earlier > 0 {
            this.change = format!("{} ({})", this.change, earlier + 1);
        }
    }
}

struct Finder<'a> {
    file: &'a source::File,
    found: Vec<Mutant>,
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_block(&mut self, block: &'ast Block) {
        let function = self.file.innermost(block.span().byte_range());
        let shared =
            function.filter(|function| has_one_of(&self.file.text[function.bytes.clone()], SHARED));
        if let Some(function) = shared {
            let name = function.name();
            for statement in &block.stmts {
                self.drop(&name, statement);
                self.hold(&name, statement);
            }
            for pair in block.stmts.windows(2) {
                self.swap(&name, &pair[0], &pair[1]);
            }
        }
        visit::visit_block(self, block);
    }
}

impl Finder<'_> {
    fn text(&self, bytes: Range<usize>) -> &str {
        &self.file.text[bytes]
    }

    fn add(&mut self, function: &str, change: String, of: &Stmt, bytes: Range<usize>, new: String) {
        let span = of.span();
        self.found.push(Mutant {
            path: self.file.path.clone(),
            function: function.to_owned(),
            change,
            lines: span.start().line..span.end().line + 1,
            bytes,
            replacement: new,
        });
    }

    /// Leaves out a statement: a wake, a fence, a store, the end of a guard, or a second look.
    fn drop(&mut self, function: &str, statement: &Stmt) {
        let leaves_out = match statement {
            Stmt::Expr(expr, semicolon) => acts(expr) && (semicolon.is_some() || is_if(expr)),
            Stmt::Local(local) => is_unused(local),
            _ => false,
        };
        if leaves_out {
            let bytes = statement.span().byte_range();
            let change = format!("drop `{}`", shown(self.text(bytes.clone())));
            self.add(function, change, statement, bytes, String::new());
        }
    }

    /// Swaps two statements, of which one is visible to other threads.
    fn swap(&mut self, function: &str, first: &Stmt, second: &Stmt) {
        let runs = |statement: &Stmt| match statement {
            Stmt::Expr(expr, semicolon) => acts(expr) && (semicolon.is_some() || is_if(expr)),
            Stmt::Local(local) => local.init.as_ref().is_some_and(|init| calls(&init.expr)),
            _ => false,
        };
        if !runs(first) || !runs(second) {
            return;
        }
        let (one, two) = (first.span().byte_range(), second.span().byte_range());
        let (one_text, two_text) = (self.text(one.clone()), self.text(two.clone()));
        if !has_one_of(one_text, VISIBLE) && !has_one_of(two_text, VISIBLE) {
            return;
        }
        if names(first).iter().any(|name| has_word(two_text, name)) {
            // It would not compile.
            return;
        }
        let between = self.text(one.end..two.start);
        let replacement = format!("{two_text}{between}{one_text}");
        let change = format!("swap `{}` and `{}`", shown(one_text), shown(two_text));
        self.add(function, change, first, one.start..two.end, replacement);
    }

    /// Holds a lock until the end of the block, which the statement alone had.
    fn hold(&mut self, function: &str, statement: &Stmt) {
        if !matches!(statement, Stmt::Local(_) | Stmt::Expr(_, Some(_))) {
            return;
        }
        let mut locks = Locks::default();
        locks.visit_stmt(statement);
        let Some(lock) = locks.found else { return };
        let bytes = statement.span().byte_range();
        let lock_text = self.text(lock.clone()).to_owned();
        let text = self.text(bytes.clone());
        let (before, behind) = (lock.start - bytes.start, lock.end - bytes.start);
        let replacement =
            format!("let mut held = {lock_text}; {}held{}", &text[..before], &text[behind..]);
        let change = format!("hold the lock of `{}`", shown(text));
        self.add(function, change, statement, bytes, replacement);
    }
}

/// Finds a call of `lock` on whose guard a method is called.
#[derive(Default)]
struct Locks {
    found: Option<Range<usize>>,
}

impl<'ast> Visit<'ast> for Locks {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let Expr::Call(receiver) = &*call.receiver {
            if let Expr::Path(path) = &*receiver.func {
                if path.path.is_ident("lock") {
                    self.found = Some(receiver.span().byte_range());
                }
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    // A guard inside of these lives elsewhere.
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_block(&mut self, _: &'ast Block) {}
}

/// Returns `true` if an expression is there for its effect.
fn acts(expr: &Expr) -> bool {
    match expr {
        Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) => true,
        Expr::Unsafe(block) => match &block.block.stmts[..] {
            [Stmt::Expr(only, _)] => acts(only),
            _ => false,
        },
        Expr::Binary(binary) => matches!(
            binary.op,
            syn::BinOp::AddAssign(_) | syn::BinOp::SubAssign(_) | syn::BinOp::BitOrAssign(_)
        ),
        other => is_if(other),
    }
}

/// Returns `true` for an `if` without `else`, whose value is `()`.
fn is_if(expr: &Expr) -> bool {
    matches!(expr, Expr::If(branch) if branch.else_branch.is_none())
}

fn calls(expr: &Expr) -> bool {
    match expr {
        Expr::MethodCall(_) | Expr::Call(_) => true,
        Expr::Unsafe(_) => true,
        Expr::Try(inner) => calls(&inner.expr),
        Expr::Reference(inner) => calls(&inner.expr),
        _ => false,
    }
}

/// Returns `true` for `let _guard = ...`, whose value nothing reads.
fn is_unused(local: &Local) -> bool {
    matches!(&local.pat, Pat::Ident(name) if name.ident.to_string().starts_with('_'))
}

/// Returns the names that a statement binds.
fn names(statement: &Stmt) -> Vec<String> {
    #[derive(Default)]
    struct Names(Vec<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, name: &'ast syn::PatIdent) {
            self.0.push(name.ident.to_string());
        }
    }
    let mut names = Names::default();
    if let Stmt::Local(local) = statement {
        names.visit_pat(&local.pat);
    }
    names.0
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).any(|part| part == word)
}

/// Returns a statement on one line, without comments.
fn shown(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the changes of a source, and the source after each.
    fn changes(text: &str) -> Vec<(String, String)> {
        let path = Path::new("reorder/src/pool.rs");
        let syntax = syntax::parse(text, path).unwrap();
        let found = of_text(path, text.to_owned(), &syntax).unwrap();
        found.iter().map(|mutant| (mutant.change.clone(), mutant.apply(text))).collect()
    }

    #[test]
    fn statements_are_dropped_and_swapped() {
        let found = changes("fn f(a: &A) { a.flag.store(1, Release); a.wake(); }");
        let expected = [
            ("drop `a.flag.store(1, Release);`", "fn f(a: &A) {  a.wake(); }"),
            ("drop `a.wake();`", "fn f(a: &A) { a.flag.store(1, Release);  }"),
            (
                "swap `a.flag.store(1, Release);` and `a.wake();`",
                "fn f(a: &A) { a.wake(); a.flag.store(1, Release); }",
            ),
        ];
        assert_eq!(found, expected.map(|(change, text)| (change.to_owned(), text.to_owned())));
    }

    #[test]
    fn calls_that_touch_shared_memory_are_swapped() {
        let found = changes("fn f(a: &A) { fence(SeqCst); a.end.reopen(); a.state.close(); }");
        let swap = "swap `a.end.reopen();` and `a.state.close();`";
        assert!(found.iter().any(|(change, _)| change == swap), "{found:?}");
    }

    #[test]
    fn a_second_look_and_a_guard_are_dropped() {
        let found =
            changes("fn f(a: &A) -> u8 { let _guard = lock(a); if a.is_set() { a.wake(); } 1 }");
        let names: Vec<&str> = found.iter().map(|(change, _)| &**change).collect();
        assert!(names.contains(&"drop `let _guard = lock(a);`"), "{names:?}");
        assert!(names.contains(&"drop `if a.is_set() { a.wake(); }`"), "{names:?}");
    }

    #[test]
    fn a_lock_is_held_longer() {
        let found = changes("fn f(a: &A) { let item = lock(&a.list).pop(); item.run(); }");
        let held =
            "fn f(a: &A) { let mut held = lock(&a.list); let item = held.pop(); item.run(); }";
        assert!(found.iter().any(|(_, text)| text == held), "{found:?}");
        assert!(!found.iter().any(|(change, _)| change.starts_with("swap")), "{found:?}");
    }

    #[test]
    fn functions_of_one_thread_and_tests_stay() {
        assert!(changes("fn f(a: &mut A) { a.grow(); a.sort(); }").is_empty());
        assert!(changes("#[cfg(test)] mod tests { fn f(a: &A) { a.wake(); } }").is_empty());
    }

    #[test]
    fn equal_changes_get_numbers() {
        let found = changes("fn f(a: &A) { a.wake(); if a.is_set() { a.wake(); } }");
        let names: Vec<&str> = found.iter().map(|(change, _)| &**change).collect();
        assert!(names.contains(&"drop `a.wake();`") && names.contains(&"drop `a.wake();` (2)"));
    }
}
