//! Compares our crates with others, see [`benches::compare`].

use std::process::ExitCode;

use benches::compare::MeasuringAllocator;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: MeasuringAllocator = MeasuringAllocator;

fn main() -> ExitCode {
    match benches::compare::run(&benches::compare::Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
