//! `api CRATE.json` prints the public items of a crate, one a line, from the JSON of rustdoc.
//!
//! Status 2 says that another version of rustdoc wrote the file, in an unknown format.

use std::error::Error;
use std::process::ExitCode;

/// Traits that the compiler implements and no user can name: they come and go with its versions.
const UNNAMEABLE: [&str; 3] = ["StructuralPartialEq", "Freeze", "UnsafeUnpin"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: api CRATE.json")?;
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let (format, known) = (&json["format_version"], rustdoc_types::FORMAT_VERSION);
    if *format != known {
        eprintln!("this rustdoc writes format {format}, and ci/api reads format {known}");
        return Ok(ExitCode::from(2));
    }
    let api = public_api::Builder::from_rustdoc_json(path).omit_blanket_impls(true).build()?;
    for item in api.items().map(ToString::to_string) {
        if !UNNAMEABLE.iter().any(|name| item.contains(&format!(" core::marker::{name} for "))) {
            println!("{item}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
