//! Compares us with others, see [`benches::compare`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match benches::compare::run(&benches::compare::Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("compare: {what}");
            ExitCode::FAILURE
        }
    }
}
