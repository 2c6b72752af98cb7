//! The places in the source that state a bound.

use std::collections::BTreeMap;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, ImplItemFn, ItemConst, ItemImpl, Lit, Meta, Type, Visibility};

use super::data::{Bounds, FILE, states_steps};
use crate::syntax;

/// Compares the `# Progress` sections of all public methods with the data.
///
/// A section that states a number of steps has the words of the data, or refers to another method
/// by "As". A method in the data has such a section.
pub(super) fn sections(folder: &Path, bounds: &Bounds) -> anyhow::Result<Vec<String>> {
    let mut found = BTreeMap::new();
    for path in syntax::files(folder, &["tests", "tests.rs"])? {
        let (_, file) = syntax::read(&path)?;
        let mut methods = Methods { owner: String::new(), found: Vec::new() };
        methods.visit_file(&file);
        for (name, line, section) in methods.found {
            found.insert(name, (format!("{}:{line}", path.display()), section));
        }
    }

    let mut breaches = Vec::new();
    for (name, (place, section)) in &found {
        let bound = bounds.of(name).map(|operation| plain(&operation.at_most));
        match bound.filter(|bound| states_steps(bound)) {
            Some(bound) if !says(section, &bound) => {
                breaches.push(format!("{place}: # Progress of {name} does not say: {bound}"));
            }
            None if states_steps(section) => {
                breaches.push(format!("{place}: # Progress of {name} has steps, {FILE} has none"));
            }
            _ => {}
        }
    }
    for name in bounds.operations.iter().flat_map(|operation| &operation.methods) {
        if !found.contains_key(name) {
            breaches.push(format!("{FILE}: {name} is no public method with # Progress"));
        }
    }
    Ok(breaches)
}

/// Returns `true` if a section has the words of a bound, or refers to another method.
fn says(section: &str, bound: &str) -> bool {
    section.to_lowercase().contains(&bound.to_lowercase()) || section.starts_with("As ")
}

/// Compares the constants of the tests with the data, both ways.
pub(super) fn constants(file: &str, text: &str, bounds: &Bounds) -> anyhow::Result<Vec<String>> {
    let syntax = syntax::parse(text, Path::new(file))?;
    let mut constants = Constants(BTreeMap::new());
    constants.visit_file(&syntax);

    let mut breaches = Vec::new();
    for operation in &bounds.operations {
        let (Some(name), Some(steps)) = (&operation.constant, operation.steps) else { continue };
        match constants.0.remove(name) {
            Some(most) if most == steps => {}
            Some(most) => breaches.push(format!("{file}: {name} is {most}, not {steps}")),
            None => breaches.push(format!("{file}: no constant {name}, which {FILE} names")),
        }
    }
    breaches.extend(constants.0.keys().map(|name| format!("{FILE} does not name {file}: {name}")));
    Ok(breaches)
}

/// Collects the public methods with their `# Progress` sections.
struct Methods {
    owner: String,
    found: Vec<(String, usize, String)>,
}

impl<'ast> Visit<'ast> for Methods {
    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if let Type::Path(path) = &*block.self_ty {
            self.owner = path.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
            visit::visit_item_impl(self, block);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'ast ImplItemFn) {
        if let (Visibility::Public(_), Some(section)) = (&method.vis, progress(&method.attrs)) {
            let name = format!("{}::{}", self.owner, method.sig.ident);
            self.found.push((name, method.sig.ident.span().start().line, section));
        }
    }
}

/// Collects the constants of the form `const NAME: Bound = bound("operation", 1)`.
struct Constants(BTreeMap<String, usize>);

impl<'ast> Visit<'ast> for Constants {
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        let Expr::Call(call) = &*item.expr else { return };
        if let Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) = call.args.last() {
            if let Ok(number) = number.base10_parse() {
                self.0.insert(item.ident.to_string(), number);
            }
        }
    }
}

/// Returns the `# Progress` section among the doc comments, in one line and without links.
fn progress(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(meta) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value else { return None };
        meta.path.is_ident("doc").then(|| text.value())
    });
    let lines: Vec<String> = lines.collect();
    let begin = lines.iter().position(|line| line.trim() == "# Progress")?;
    let section = lines[begin + 1..].iter().take_while(|line| !line.trim().starts_with("# "));
    let section: Vec<&str> = section.flat_map(|line| line.split_whitespace()).collect();
    Some(plain(&section.join(" ")))
}

/// Removes the links of a text: the brackets, and the target after them.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['[', ']']) {
        plain.push_str(&rest[..at]);
        let closes = rest[at..].starts_with("](");
        let end = if closes { rest[at..].find(')').unwrap_or(0) } else { 0 };
        rest = &rest[at + end + 1..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = "
        [[operation]]
        methods = ['Side::one', 'Side::two']
        at_most = '2 loads and 1 store'
        steps = 3
        constant = 'ONE'
        [[operation]]
        methods = ['Side::three']
        at_most = 'blocking'
    ";

    const SOURCE: &str = "impl<R> Side<R> {
    /// Does it.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads
    /// and 1 store.
    ///
    /// # More
    pub fn one() {}
    /// # Progress
    ///
    /// As [`one`](Side::one).
    pub fn two() {}
    /// # Progress
    ///
    /// It blocks.
    pub fn three() {}
    /// # Progress
    ///
    /// Wait-free.
    pub fn four() {}
}
";

    fn breaches_after(from: &str, to: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("side.rs"), SOURCE.replacen(from, to, 1)).unwrap();
        let found = sections(folder.path(), &Bounds::parse(DATA).unwrap()).unwrap();
        let folder = format!("{}/", folder.path().display());
        found.into_iter().map(|breach| breach.replace(&folder, "")).collect()
    }

    #[test]
    fn sections_that_agree_are_accepted() {
        assert_eq!(breaches_after("", ""), Vec::<String>::new());
    }

    #[test]
    fn sections_that_disagree_are_found() {
        let expected = "side.rs:10: # Progress of Side::one does not say: 2 loads and 1 store";
        assert_eq!(breaches_after("2 loads", "3 loads"), [expected]);
        let expected = "side.rs:22: # Progress of Side::four has steps, docs/bounds.toml has none";
        assert_eq!(breaches_after("Wait-free.", "Wait-free: two loads."), [expected]);
    }

    #[test]
    fn methods_without_a_section_are_found() {
        let expected = "docs/bounds.toml: Side::three is no public method with # Progress";
        assert_eq!(breaches_after("fn three", "fn renamed"), [expected]);
    }

    #[test]
    fn constants_have_to_agree() {
        let bounds = Bounds::parse(DATA).unwrap();
        let found = |text: &str| constants("b.rs", text, &bounds).unwrap();
        let one = "const ONE: Bound = bound(\"one\", 3);";
        assert_eq!(found(one), Vec::<String>::new());
        assert_eq!(found(&one.replace('3', "2")), ["b.rs: ONE is 2, not 3"]);
        assert_eq!(found(""), ["b.rs: no constant ONE, which docs/bounds.toml names"]);
        let more = format!("{one} const TWO: Bound = bound(\"two\", 1);");
        assert_eq!(found(&more), ["docs/bounds.toml does not name b.rs: TWO"]);
    }
}
