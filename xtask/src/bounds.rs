//! The most steps of each operation of the ring stand in one table.
//!
//! `docs/bounds.toml` is that table. The ring's page and the crate's documentation show it. The
//! `# Progress` sections of the methods and the constants of the tests have to agree with it.

mod data;
mod source;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::pages;
use data::{Bounds, FILE};

/// The crate with the methods.
const SOURCE: &str = "reorder/src";

/// The file whose documentation shows the table.
const ROOT: &str = "reorder/src/lib.rs";

/// The file with the constants that the tests hold the operations to.
const CONSTANTS: &str = "reorder/tests/progress/bounds.rs";

/// The word in the markers.
const TOPIC: &str = "bounds";

/// Renders the tables, or compares everything that states a bound with the data.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let bounds = Bounds::parse(&fs::read_to_string(FILE).context(FILE)?)?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["render"] => render(&bounds, false),
        ["check"] => {
            render(&bounds, true)?;
            let mut breaches = bounds.sums();
            breaches.extend(source::sections(Path::new(SOURCE), &bounds)?);
            let constants = fs::read_to_string(CONSTANTS).context(CONSTANTS)?;
            breaches.extend(source::constants(CONSTANTS, &constants, &bounds)?);
            breaches.iter().for_each(|breach| println!("bounds: {breach}"));
            ensure!(breaches.is_empty(), "{} disagree with {FILE}", breaches.len());
            println!("bounds: pages, methods and tests agree with {FILE}");
            Ok(())
        }
        _ => bail!("usage: cargo xtask bounds render | check"),
    }
}

fn render(bounds: &Bounds, only_check: bool) -> anyhow::Result<()> {
    let command = "cargo xtask bounds render";
    let page = fs::read_to_string(pages::RING).context(pages::RING)?;
    let page = pages::replace_block(&page, TOPIC, "table", &bounds.page_table())?;
    pages::write(pages::RING, &page, only_check, command)?;

    let root = fs::read_to_string(ROOT).context(ROOT)?;
    let root = pages::replace_block_in_docs(&root, TOPIC, "table", &bounds.crate_table())?;
    pages::write(ROOT, &root, only_check, command)
}
