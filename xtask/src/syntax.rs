//! Parsed Rust source, and the items in it that only tests compile.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use proc_macro2::{TokenStream, TokenTree};
use syn::Attribute;

/// Reads and parses one file.
pub(crate) fn read(path: &Path) -> anyhow::Result<(String, syn::File)> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let syntax = parse(&text, path)?;
    Ok((text, syntax))
}

/// Parses the text of one file. The path is for the error message.
pub(crate) fn parse(text: &str, path: &Path) -> anyhow::Result<syn::File> {
    syn::parse_file(text).map_err(|error| {
        let line = error.span().start().line;
        anyhow::anyhow!("{}:{line}: cannot be parsed: {error}", path.display())
    })
}

/// Returns `true` if a `#[cfg]` among the attributes holds in a build for tests alone.
pub(crate) fn only_in_tests(attributes: &[Attribute]) -> bool {
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
}
