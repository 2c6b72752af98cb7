//! Rust source as a list of tokens, so that a search ignores white space and comments.

use std::ops::Range;

use anyhow::anyhow;
use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

/// One token, and the bytes of the source that it comes from.
#[derive(Debug)]
pub(super) struct Token {
    text: String,
    pub(super) bytes: Range<usize>,
}

/// Operators of several characters. `>>` and `<<` are missing, because in generics `>>` is two
/// tokens.
const OPERATORS: &[&str] = &[
    "..=", "...", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "^=", "&=", "|=", "..",
];

/// Splits a piece of source into tokens. Its delimiters must be balanced.
pub(super) fn tokens(source: &str) -> anyhow::Result<Vec<Token>> {
    let stream: TokenStream =
        source.parse().map_err(|error| anyhow!("these are no Rust tokens: {error}"))?;
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    Ok(tokens)
}

/// Returns the places in `tokens` where the sequence `wanted` begins.
pub(super) fn find(tokens: &[Token], wanted: &[Token]) -> Vec<usize> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let is_equal = |window: &[Token]| same(window, wanted);
    (0..tokens.len()).filter(|&at| tokens[at..].get(..wanted.len()).is_some_and(is_equal)).collect()
}

/// Returns `true` if both lists have the same tokens, wherever these stand.
pub(super) fn same(one: &[Token], other: &[Token]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.text == other.text)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(token(open, group.span_open()));
                flatten(group.stream(), tokens);
                tokens.push(token(close, group.span_close()));
            }
            TokenTree::Punct(first) => {
                let mut operator = token(first.as_char(), first.span());
                let mut spacing = first.spacing();
                while let (Spacing::Joint, Some(TokenTree::Punct(next))) = (spacing, trees.peek()) {
                    let longer = format!("{}{}", operator.text, next.as_char());
                    if !OPERATORS.contains(&&*longer) {
                        break;
                    }
                    operator = Token {
                        text: longer,
                        bytes: operator.bytes.start..next.span().byte_range().end,
                    };
                    spacing = next.spacing();
                    trees.next();
                }
                tokens.push(operator);
            }
            TokenTree::Ident(name) => tokens.push(token(&name, name.span())),
            TokenTree::Literal(literal) => tokens.push(token(&literal, literal.span())),
        }
    }
}

fn token(text: impl ToString, span: Span) -> Token {
    Token { text: text.to_string(), bytes: span.byte_range() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(source: &str, wanted: &str) -> usize {
        find(&tokens(source).unwrap(), &tokens(wanted).unwrap()).len()
    }

    #[test]
    fn white_space_and_comments_do_not_matter() {
        let source = "a . b (\n    // why\n    c, /* and */ d\n);";
        assert_eq!(count(source, "a.b(c, d);"), 1);
        assert_eq!(count("a.b(c, d);", "a.b(\n  // another reason\n  c,\n  d);"), 1);
    }

    #[test]
    fn tokens_differ_where_the_code_does() {
        assert_eq!(count("a.b(c, d);", "a.b(d, c);"), 0);
        assert_eq!(count("a.bc();", "a.b"), 0);
        assert_eq!(count("f(\"a b\");", "f(\"ab\");"), 0);
    }

    #[test]
    fn every_occurrence_is_found() {
        assert_eq!(count("a; b; a; a;", "a;"), 3);
        assert_eq!(count("a; a; a;", "a; a;"), 2);
        assert_eq!(count("a;", ""), 0);
        assert_eq!(count("a;", "a; b;"), 0);
    }

    #[test]
    fn part_of_an_operator_is_not_found() {
        assert_eq!(count("a == b", "a ="), 0);
        assert_eq!(count("a && b", "& b"), 0);
        assert_eq!(count("0..=5", "0.."), 0);
        assert_eq!(count("|| x", "|"), 0);
        assert_eq!(count("f(&x)?;", "f(&x)?"), 1);
        assert_eq!(count("let v: Vec<Vec<u8>> = w;", "Vec<u8>"), 1);
        assert_eq!(count("a =-b", "a = -b"), 1);
    }

    #[test]
    fn bytes_are_counted_also_after_wide_characters() {
        let source = "let s = \"ä→\"; f(x); // ö\n";
        let tokens = tokens(source).unwrap();
        let first = find(&tokens, &super::tokens("f(x)").unwrap())[0];
        assert_eq!(&source[tokens[first].bytes.start..tokens[first + 3].bytes.end], "f(x)");
    }

    #[test]
    fn unbalanced_delimiters_are_an_error() {
        assert!(tokens("if a {").is_err());
    }
}
