//! The table of atomic accesses: it is data, the pages show it, and models hold it.

pub(crate) mod data;
mod mutants;
mod tables;

use std::fs;

use anyhow::{Context as _, bail, ensure};

use crate::pages;
use data::Orderings;

/// Renders the tables of the pages, compares them, or weakens each order and runs the models.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let orderings = Orderings::read()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["render"] => render(&orderings, false),
        ["check"] => {
            render(&orderings, true)?;
            models_exist(&orderings)?;
            println!("orderings: the pages show the data, and its models exist");
            Ok(())
        }
        ["run", ..] => mutants::run(&orderings, &arguments[1..]),
        _ => bail!("usage: cargo xtask orderings render | check | run [LABEL...]"),
    }
}

fn render(orderings: &Orderings, only_check: bool) -> anyhow::Result<()> {
    for (page, book) in [(pages::RING, &orderings.ring), (pages::EXECUTOR, &orderings.executor)] {
        let text = fs::read_to_string(page).context(page)?;
        let text = tables::render(&text, book).context(page)?;
        pages::write(page, &text, only_check, "cargo xtask orderings render")?;
    }
    Ok(())
}

/// Fails if a pair names a model that is not among the models' source.
fn models_exist(orderings: &Orderings) -> anyhow::Result<()> {
    let pairs = orderings.books().into_iter().flat_map(|book| &book.pairs);
    pairs.flat_map(|pair| &pair.models).try_for_each(|model| model_exists(model))
}

/// Fails if a model, such as `wake::waker_replaced`, is not among the models' source.
pub(crate) fn model_exists(model: &str) -> anyhow::Result<()> {
    let (module, function) = model.split_once("::").with_context(|| model.to_owned())?;
    let file = format!("loom-tests/tests/models/{module}.rs");
    let source = fs::read_to_string(&file).context(file.clone())?;
    ensure!(source.contains(&format!("fn {function}(")), "{file}: no model {function}");
    Ok(())
}
