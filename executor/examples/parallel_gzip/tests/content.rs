//! The outputs decompress to their inputs.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::slice::from_ref;

use tempfile::TempDir;

use super::{Printed, args, bytes, decompressed, file, gz, run};
use crate::check;
use crate::engine::Engine;
use crate::plan::Plan;
use crate::report::Report;

#[test]
fn every_size_decompresses_to_its_input_at_each_kind_of_level() {
    let folder = TempDir::new().unwrap();
    let sizes = [0, 1, 4095, 4096, 4097, 8192, 40_000, 100_001];
    let files: Vec<PathBuf> =
        sizes.iter().map(|&size| file(&folder, &format!("{size}"), &bytes(size))).collect();
    for (level, workers) in [("0", "1"), ("1", "3"), ("6", "1"), ("6", "2"), ("9", "2")] {
        let line = ["--block", "4096", "--force", "--level", level, "--workers", workers];
        let ran = run(&args(line, &files));
        assert!(!ran.failed, "{}", ran.errors);
        for (path, &size) in files.iter().zip(&sizes) {
            assert!(decompressed(&gz(path)) == bytes(size), "{size} bytes at level {level}");
            let blocks = size.div_ceil(4096);
            let start = format!("{}: {size} -> ", path.display());
            let line = ran.lines.lines().find(|line| line.starts_with(&start)).unwrap();
            assert!(line.contains(&format!(", {blocks} block")), "{line}");
        }
        assert_eq!(ran.lines.lines().count(), sizes.len() + 1);
    }
}

#[test]
fn the_output_is_one_member_whose_blocks_refer_to_earlier_blocks() {
    let folder = TempDir::new().unwrap();
    // Repeated noise: only references to earlier blocks can make the output smaller.
    let noise: Vec<u8> = bytes(10_006).split_off(5003);
    let path = file(&folder, "f", &noise.repeat(8));
    assert!(!run(&args(["--block", "5003"], from_ref(&path))).failed);
    let output = fs::read(gz(&path)).unwrap();
    assert!(output.len() < 2 * noise.len(), "{} bytes", output.len());
    // This decoder stops at the end of the first member.
    let mut single = Vec::new();
    flate2::read::GzDecoder::new(&output[..]).read_to_end(&mut single).unwrap();
    assert_eq!(single.len(), 8 * noise.len());
}

#[test]
fn a_wrong_output_is_an_error() {
    let folder = TempDir::new().unwrap();
    let files = ["a", "b", "c", "d"].map(|name| file(&folder, name, &bytes(10_000)));
    let engine = Engine::new(&args([], &[])).unwrap();
    let (lines, errors) = (Printed::default(), Printed::default());
    let report = Report::new(Box::new(lines.clone()), Box::new(errors.clone()));
    let plan = Plan::new(&files, None, false);
    crate::run::jobs(&engine, &plan.jobs, &report);
    // A longer input, a shorter one, and an output with one wrong bit.
    fs::write(&files[0], bytes(10_001)).unwrap();
    fs::write(&files[1], bytes(9_999)).unwrap();
    let mut output = fs::read(gz(&files[2])).unwrap();
    output[5000] ^= 1;
    fs::write(gz(&files[2]), output).unwrap();
    check::check(&engine, &plan.jobs, &report);
    assert!(report.has_errors());
    assert_eq!(errors.text().lines().count(), 3, "{}", errors.text());
    assert!(lines.text().contains("1 of 4 files"), "{}", lines.text());
}

#[test]
fn the_files_of_the_repository_decompress_to_their_inputs() {
    let (lines, errors) = (Printed::default(), Printed::default());
    let report = Report::new(Box::new(lines.clone()), Box::new(errors.clone()));
    check::own_files(&Engine::new(&args(["--level", "1"], &[])).unwrap(), &report).unwrap();
    assert!(!report.has_errors(), "{}", errors.text());
    assert!(lines.text().contains("main.rs: "));
    assert!(lines.text().contains("they decompress to their inputs"));
}
