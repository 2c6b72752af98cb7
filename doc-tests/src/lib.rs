//! Compiles and runs the examples of the repository's pages: `cargo test -p doc-tests`.

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The recipes of the cookbook.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
struct Cookbook;
