//! The outputs decompress to their inputs.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::slice::from_ref;
use std::time::{Duration, UNIX_EPOCH};

use clap::Parser;
use tempfile::TempDir;

use super::{Printed, args, bytes, decompressed, file, gz, run};
use crate::args::Args;
use crate::check;
use crate::engine::Engine;
use crate::error::Error;
use crate::member::{Member, Origin};
use crate::report::Report;

#[test]
fn every_size_decompresses_to_its_input_at_each_kind_of_level() {
    let folder = TempDir::new().unwrap();
    let sizes = [0, 1, 4095, 4096, 4097, 8192, 40_000, 100_001];
    let files: Vec<PathBuf> =
        sizes.iter().map(|&size| file(&folder, &format!("{size}"), &bytes(size))).collect();
    for (level, workers) in [("-0", "1"), ("-1", "3"), ("-6", "1"), ("-6", "2"), ("-9", "2")] {
        let line = ["--block", "4096", "--force", level, "--workers", workers];
        let ran = run(&args(line, &files));
        assert_eq!(ran.status, 0, "{}", ran.errors);
        for (path, &size) in files.iter().zip(&sizes) {
            assert!(decompressed(&gz(path)) == bytes(size), "{size} bytes at level {level}");
            let blocks = match size.div_ceil(4096) {
                0 => " bytes, ".to_owned(),
                blocks => format!(", {blocks} block"),
            };
            let start = format!("{}: {size} -> ", path.display());
            let line = ran.lines.lines().find(|line| line.starts_with(&start)).unwrap();
            assert!(line.contains(&blocks), "{line}");
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
    assert_eq!(run(&args(["--block", "5003"], from_ref(&path))).status, 0);
    let output = fs::read(gz(&path)).unwrap();
    assert!(output.len() < 2 * noise.len(), "{} bytes", output.len());
    // This decoder stops at the end of the first member.
    let mut single = Vec::new();
    flate2::read::GzDecoder::new(&output[..]).read_to_end(&mut single).unwrap();
    assert_eq!(single.len(), 8 * noise.len());
}

#[test]
fn results_come_in_the_order_of_the_arguments() {
    let folder = TempDir::new().unwrap();
    // The first file takes longest, and the second fails at once.
    let mut files = vec![file(&folder, "z", &bytes(3_000_000)), folder.path().join("missing")];
    files.extend((0..20).rev().map(|n| file(&folder, &format!("{n}"), &bytes(n * 100))));
    let ran = run(&args(["--block", "4096", "--workers", "2"], &files));
    files.remove(1);
    let names = ran.lines.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
    let mut expected: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    expected.push("21 files".to_owned());
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn the_header_has_the_name_and_the_time() {
    let folder = TempDir::new().unwrap();
    let input = file(&folder, "f", b"content");
    let time = UNIX_EPOCH + Duration::new(1_234_567_890, 5);
    fs::File::options().write(true).open(&input).unwrap().set_modified(time).unwrap();
    for (options, name, seconds) in [(["-f"], Some(&b"f"[..]), 1_234_567_890), (["-nf"], None, 0)] {
        assert_eq!(run(&args(options, from_ref(&input))).status, 0);
        let output = fs::read(gz(&input)).unwrap();
        let decoder = flate2::read::GzDecoder::new(&output[..]);
        let header = decoder.header().unwrap();
        assert_eq!((header.filename(), header.mtime()), (name, seconds));
        assert_eq!(fs::metadata(gz(&input)).unwrap().modified().unwrap(), time);
    }
}

#[test]
fn times_that_the_format_does_not_have_are_left_out() {
    let outside = [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(1 << 32)];
    for modified in outside {
        let mut output = Vec::new();
        let origin = Origin { name: None, modified: Some(modified) };
        Member::begin(&mut output, &origin, 6, |_: u64| {}).unwrap().end().unwrap();
        assert_eq!(flate2::read::GzDecoder::new(&output[..]).header().unwrap().mtime(), 0);
    }
}

#[test]
fn a_wrong_output_is_an_error() {
    let content = bytes(10_000);
    let engine = Engine::new(&args([], &[])).unwrap();
    let mut output = Vec::new();
    engine.compress(&content[..], &mut output, &Origin::default(), |_| {}).unwrap();
    assert!(check::check(&output, &content).is_ok());
    assert!(matches!(check::check(&output, &bytes(10_001)), Err(Error::Differs)));
    assert!(matches!(check::check(&output, &bytes(9_999)), Err(Error::Differs)));
    output[5000] ^= 1;
    assert!(check::check(&output, &content).is_err());
}

#[test]
fn the_files_of_the_repository_decompress_to_their_inputs() {
    let (lines, errors) = (Printed::default(), Printed::default());
    let mut report = Report::new(Box::new(lines.clone()), Box::new(errors.clone()));
    let args = Args::try_parse_from(["parallel_gzip", "-1"]).unwrap();
    check::own_files(&Engine::new(&args).unwrap(), &args, &mut report).unwrap();
    assert_eq!(report.status(), 0, "{}", errors.text());
    assert!(lines.text().contains("they decompress to their inputs"));
    assert!(lines.text().lines().count() <= 3, "{}", lines.text());
}
