//! Decompression with `-d`: members that follow each other, and inputs that are damaged.

use std::fs;
use std::path::PathBuf;
use std::slice::from_ref;

use tempfile::TempDir;

use super::{args, assert_only, bytes, file, gz, run};
use crate::error::{ERROR, Error, WARNING};
use crate::inflate::inflate;

/// Compresses `content`, and removes the input.
fn compressed(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let input = file(folder, name, content);
    assert_eq!(run(&args(["-f"], from_ref(&input))).status, 0);
    fs::remove_file(&input).unwrap();
    gz(&input)
}

fn member(content: &[u8]) -> Vec<u8> {
    fs::read(compressed(&TempDir::new().unwrap(), "f", content)).unwrap()
}

fn inflated(input: &[u8]) -> (Vec<u8>, Result<(), Error>) {
    let mut output = Vec::new();
    let result = inflate(input, &mut output, |_| {});
    if let Ok(size) = &result {
        assert_eq!((size.input, size.output), (input.len() as u64, output.len() as u64));
    }
    (output, result.map(drop))
}

#[test]
fn files_come_back_with_their_time_and_permissions() {
    let folder = TempDir::new().unwrap();
    let sizes = [0, 1, 131_072, 1_000_000];
    let files = sizes.map(|size| compressed(&folder, &size.to_string(), &bytes(size)));
    let before = files.each_ref().map(|path| fs::metadata(path).unwrap());
    let ran = run(&args(["-d"], &files));
    assert_eq!(ran.status, 0, "{}", ran.errors);
    assert_eq!(ran.lines.lines().count(), sizes.len() + 1);
    for ((path, size), before) in files.iter().zip(sizes).zip(before) {
        let output = path.with_extension("");
        assert!(fs::read(&output).unwrap() == bytes(size), "{size} bytes");
        let after = fs::metadata(output).unwrap();
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
        assert_eq!(after.permissions(), before.permissions());
    }
}

#[test]
fn members_follow_each_other() {
    let mut input = [member(b"first, "), member(b""), member(b"last")].concat();
    let (output, result) = inflated(&input);
    assert!(result.is_ok() && output == b"first, last", "{result:?}");
    // Zeros at the end are no garbage.
    input.extend([0; 200_000]);
    let (output, result) = inflated(&input);
    assert!(result.is_ok() && output == b"first, last", "{result:?}");
}

#[test]
fn garbage_after_a_member_is_a_warning() {
    for garbage in [&b"garbage"[..], b"\x1fgarbage is longer", b"\0\0garbage"] {
        let (output, result) = inflated(&[&member(b"content"), garbage].concat());
        assert!(matches!(result, Err(Error::Garbage)), "{result:?}");
        assert_eq!(output, b"content");
    }
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "f.gz", &[&member(b"content"), &b"garbage"[..]].concat());
    let ran = run(&args(["-d"], &[path]));
    assert_eq!(ran.status, WARNING, "{}", ran.errors);
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"content");
}

#[test]
fn a_damaged_file_is_reported_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let whole = member(&bytes(300_000));
    let mut wrong_sum = whole.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    let files = [
        file(&folder, "cut.gz", &whole[..whole.len() - 1]),
        file(&folder, "empty.gz", b""),
        file(&folder, "head.gz", &[&whole[..], &whole[..5]].concat()),
        file(&folder, "plain.gz", b"this is no gzip file"),
        file(&folder, "sum.gz", &wrong_sum),
        file(&folder, "whole.gz", &whole),
    ];
    let ran = run(&args(["-d"], &files));
    assert_eq!(ran.status, ERROR);
    let errors: Vec<_> = ran.errors.lines().collect();
    assert_eq!(errors.len(), 5, "{errors:?}");
    for (error, path) in errors.iter().zip(&files) {
        let start = format!("parallel_gzip: {}: cannot decompress: ", path.display());
        assert!(error.starts_with(&start), "{error}");
    }
    assert_only(
        folder.path(),
        &["cut.gz", "empty.gz", "head.gz", "plain.gz", "sum.gz", "whole", "whole.gz"],
    );
}

#[test]
fn another_suffix_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let ran = run(&args(["-d"], &[file(&folder, "f.zip", b"")]));
    assert_eq!(ran.status, WARNING, "{}", ran.errors);
    assert_only(folder.path(), &["f.zip"]);
}
