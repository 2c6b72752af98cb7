//! `OrderedReader` and `OrderedWriter`.

#[path = "../common/broken.rs"]
mod broken;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/writers.rs"]
mod writers;

mod ordered_reader;
mod ordered_writer;
mod ordered_writer_drops;
mod ordered_writer_failures;
