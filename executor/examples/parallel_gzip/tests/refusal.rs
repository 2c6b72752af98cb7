//! A file that cannot be compressed is reported, and other files are not affected.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::slice::from_ref;

use tempfile::TempDir;

use super::{Broken, args, assert_only, bytes, decompressed, file, run, run_jobs};
use crate::engine::Engine;
use crate::error::{ERROR, Error, WARNING};
use crate::job::plan;
use crate::member::Origin;
use crate::output::Incomplete;
use crate::report::Report;

#[test]
fn unreadable_files_are_reported_and_the_others_are_compressed() {
    let folder = TempDir::new().unwrap();
    let good = [file(&folder, "a", b"first"), file(&folder, "z", b"last")];
    let missing = folder.path().join("missing");
    let files = [good[0].clone(), missing, folder.path().into(), good[1].clone()];
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut arguments = args([], &files);
    arguments.out = Some(out.clone());
    let ran = run(&arguments);
    assert_eq!(ran.status, ERROR);
    assert_eq!(ran.errors.lines().count(), 2, "{}", ran.errors);
    assert!(ran.errors.contains("missing: "), "{}", ran.errors);
    assert!(ran.errors.contains(": is a directory"), "{}", ran.errors);
    assert_only(&out, &["a.gz", "z.gz"]);
    assert_eq!(decompressed(&out.join("a.gz")), b"first");
    assert_eq!(decompressed(&out.join("z.gz")), b"last");
}

#[test]
fn a_file_that_vanishes_is_reported() {
    let folder = TempDir::new().unwrap();
    let files = [file(&folder, "a", b"first"), file(&folder, "z", b"last")];
    let args = args([], &files);
    let jobs = plan(&args);
    fs::remove_file(&files[0]).unwrap();
    let ran = run_jobs(&args, jobs);
    assert_eq!(ran.status, ERROR);
    assert!(ran.errors.contains("a: "), "{}", ran.errors);
    assert_only(folder.path(), &["z", "z.gz"]);
}

#[cfg(unix)]
#[test]
fn devices_are_refused() {
    let plan = plan(&args(["-f"], &["/dev/null".into()]));
    assert!(matches!(plan[..], [Err((_, Error::NotRegular))]), "{plan:?}");
}

#[test]
fn an_ignored_file_is_a_warning_and_an_error_counts_more() {
    let folder = TempDir::new().unwrap();
    let (good, bad) = (file(&folder, "f", b"content"), folder.path().join("missing"));
    let ignored = folder.path().to_owned();
    let suffixed = file(&folder, "x.gz", b"");
    for (files, status) in [
        (vec![good.clone()], 0),
        (vec![suffixed], 0),
        (vec![good.clone(), ignored.clone()], WARNING),
        (vec![bad.clone(), ignored.clone()], ERROR),
        (vec![ignored, bad, good], ERROR),
    ] {
        let ran = run(&args(["-f"], &files));
        assert_eq!(ran.status, status, "{}", ran.errors);
    }
    assert_only(folder.path(), &["f", "f.gz", "x.gz", "x.gz.gz"]);
}

#[test]
fn two_inputs_never_share_an_output() {
    let folder = TempDir::new().unwrap();
    let one = file(&folder, "f", b"one");
    fs::create_dir(folder.path().join("sub")).unwrap();
    let two = file(&folder, "sub/f", b"two");
    let mut arguments = args(["--force"], &[one.clone(), two, one]);
    arguments.out = Some(folder.path().join("sub/../out"));
    fs::create_dir(folder.path().join("out")).unwrap();
    let ran = run(&arguments);
    assert_eq!(ran.status, ERROR);
    assert_eq!(ran.errors.matches("f.gz is also the output of ").count(), 2, "{}", ran.errors);
    assert_eq!(decompressed(&folder.path().join("out/f.gz")), b"one");
}

#[test]
fn an_output_is_replaced_only_with_force_and_an_input_never() {
    let folder = TempDir::new().unwrap();
    let input = file(&folder, "f", b"new");
    let output = file(&folder, "f.gz", b"old");
    let ran = run(&args([], from_ref(&input)));
    assert_eq!(ran.status, WARNING);
    assert!(ran.errors.contains("exists"), "{}", ran.errors);
    assert_eq!(fs::read(&output).unwrap(), b"old");
    // With force, another input is not replaced either.
    let ran = run(&args(["--force"], &[input.clone(), output.clone()]));
    assert!(ran.errors.contains("f.gz is another input"), "{}", ran.errors);
    assert_eq!(fs::read(&output).unwrap(), b"old");
    let ran = run(&args(["--force"], &[input]));
    assert_eq!(ran.status, 0, "{}", ran.errors);
    assert_eq!(decompressed(&output), b"new");
}

#[test]
fn an_output_that_appears_during_the_compression_is_kept() {
    let folder = TempDir::new().unwrap();
    let args = args([], &[file(&folder, "f", b"new")]);
    let jobs = plan(&args);
    let output = file(&folder, "f.gz", b"quick");
    let ran = run_jobs(&args, jobs);
    assert!(ran.errors.contains("f.gz exists"), "{}", ran.errors);
    assert_eq!(fs::read(output).unwrap(), b"quick");
    assert_only(folder.path(), &["f", "f.gz"]);
}

#[test]
fn an_output_has_its_name_only_when_it_is_complete() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("f.gz");
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let output = Incomplete::create(&path).unwrap();
    output.file().write_all(b"begun").unwrap();
    assert!(names().all(|name| name.to_string_lossy().starts_with(".parallel_gzip-")));
    output.complete(&path, false).unwrap();
    assert_only(folder.path(), &["f.gz"]);
    drop(Incomplete::create(&path).unwrap());
    assert_only(folder.path(), &["f.gz"]);
}

#[test]
fn a_read_error_ends_its_file_only() {
    let whole = bytes(100_000);
    let engine = Engine::new(&args(["--block", "4096", "--workers", "2"], &[])).unwrap();
    let broken = engine.compress(whole.chain(Broken), io::sink(), &Origin::default(), |_| {});
    assert!(matches!(broken, Err(Error::Read(_))), "{broken:?}");
    // The engine works as before.
    let good = engine.compress(&b"fine"[..], io::sink(), &Origin::default(), |_| {});
    assert_eq!(good.unwrap().input, 4);
}

#[test]
fn a_write_error_ends_its_file_only() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(ErrorKind::StorageFull)?;
            Ok(bytes.len().min(1000))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let whole = bytes(100_000);
    let engine = Engine::new(&args(["--block", "4096", "--workers", "2"], &[])).unwrap();
    for calls in 0..60 {
        let full = engine.compress(&whole[..], Full(calls), &Origin::default(), |_| {});
        assert!(
            matches!(&full, Err(Error::Write(error)) if error.kind() == ErrorKind::StorageFull)
        );
    }
}

#[test]
fn a_closed_pipe_is_no_error_but_a_full_disk_is() {
    struct Refuses(ErrorKind);
    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for (kind, status) in [(ErrorKind::BrokenPipe, 0), (ErrorKind::StorageFull, ERROR)] {
        let mut report = Report::new(Box::new(Refuses(kind)), Box::new(io::sink()));
        report.line("hello");
        assert_eq!(report.status(), status, "{kind}");
    }
}
