//! A file that cannot be compressed is reported, and other files are not affected.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::slice::from_ref;

use tempfile::TempDir;

use super::{Broken, args, assert_only, bytes, decompressed, file, run};
use crate::engine::Engine;
use crate::error::Error;
use crate::plan::{Job, Plan};
use crate::report::Report;

#[test]
fn unreadable_files_are_reported_and_the_others_are_compressed() {
    let folder = TempDir::new().unwrap();
    let good = [file(&folder, "a", b"first"), file(&folder, "z", b"last")];
    let missing = folder.path().join("missing");
    let files = [good[0].clone(), missing, folder.path().into(), good[1].clone()];
    let out = folder.path().join("deep/out");
    let mut arguments = args([], &files);
    arguments.out = Some(out.clone());
    let ran = run(&arguments);
    assert!(ran.failed);
    assert_eq!(ran.errors.lines().count(), 2, "{}", ran.errors);
    assert!(ran.errors.contains("missing: "), "{}", ran.errors);
    assert!(ran.errors.contains(": is a directory"), "{}", ran.errors);
    assert_only(&out, &["a.gz", "z.gz"]);
    assert_eq!(decompressed(&out.join("a.gz")), b"first");
    assert_eq!(decompressed(&out.join("z.gz")), b"last");
}

#[cfg(unix)]
#[test]
fn devices_are_refused() {
    let plan = Plan::new(&["/dev/null".into()], None, true);
    assert!(matches!(plan.refused[..], [(_, Error::NotRegular)]), "{plan:?}");
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
    assert!(ran.failed);
    assert_eq!(ran.errors.matches("f.gz is also the output of ").count(), 2, "{}", ran.errors);
    assert_eq!(decompressed(&folder.path().join("out/f.gz")), b"one");
}

#[test]
fn an_output_is_replaced_only_with_force_and_an_input_never() {
    let folder = TempDir::new().unwrap();
    let input = file(&folder, "f", b"new");
    let output = file(&folder, "f.gz", b"old");
    let ran = run(&args([], from_ref(&input)));
    assert!(ran.failed && ran.errors.contains("exists"), "{}", ran.errors);
    assert_eq!(fs::read(&output).unwrap(), b"old");
    // With force, another input is not replaced either.
    let ran = run(&args(["--force"], &[input.clone(), output.clone()]));
    assert!(ran.errors.contains("f.gz is another input"), "{}", ran.errors);
    assert_eq!(fs::read(&output).unwrap(), b"old");
    let ran = run(&args(["--force"], &[input]));
    assert!(!ran.failed, "{}", ran.errors);
    assert_eq!(decompressed(&output), b"new");
}

#[test]
fn an_output_that_appears_during_the_compression_is_kept() {
    let folder = TempDir::new().unwrap();
    let input = file(&folder, "f", b"new");
    let plan = Plan::new(&[input], None, false);
    let output = file(&folder, "f.gz", b"quick");
    let error = Engine::new(&args([], &[])).unwrap().compress(&plan.jobs[0], |_| {});
    assert!(matches!(error, Err(Error::OutputExists(_))), "{error:?}");
    assert_eq!(fs::read(output).unwrap(), b"quick");
    assert_only(folder.path(), &["f", "f.gz"]);
}

#[test]
fn a_read_error_leaves_no_output() {
    let folder = TempDir::new().unwrap();
    let whole = bytes(100_000);
    let job = Job {
        input: "broken".into(),
        output: folder.path().join("broken.gz"),
        force: false,
        size: 0,
    };
    let mode = fs::metadata(folder.path()).unwrap().permissions();
    let engine = Engine::new(&args(["--block", "4096", "--workers", "2"], &[])).unwrap();
    let written = std::cell::Cell::new(0);
    let broken = engine.compress_from(whole.chain(Broken), mode.clone(), &job, |bytes| {
        written.set(written.get() + bytes);
        // During the compression, the output does not have its name yet.
        assert!(!job.output.exists());
    });
    assert!(matches!(broken, Err(Error::Read(_))), "{broken:?}");
    assert_eq!(written.get(), 100_000 / 4096 * 4096, "blocks before the error were written");
    assert_only(folder.path(), &[]);
    // The engine works as before.
    let good = engine.compress_from(&b"fine"[..], mode, &job, |_| {});
    assert_eq!(good.unwrap().input, 4);
    assert_eq!(decompressed(&job.output), b"fine");
}

#[test]
fn a_source_that_panics_is_the_error_of_its_file() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("no such sector")
        }
    }
    let folder = TempDir::new().unwrap();
    let input = file(&folder, "f", b"");
    let plan = Plan::new(from_ref(&input), None, false);
    let engine = Engine::new(&args([], &[])).unwrap();
    let mode = fs::metadata(input).unwrap().permissions();
    let error = engine.compress_from(Panics, mode, &plan.jobs[0], |_| {}).unwrap_err();
    assert!(error.to_string().contains("no such sector"), "{error}");
    assert_only(folder.path(), &["f"]);
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
    for (kind, failed) in [(ErrorKind::BrokenPipe, false), (ErrorKind::StorageFull, true)] {
        let report = Report::new(Box::new(Refuses(kind)), Box::new(io::sink()));
        report.line("hello");
        assert_eq!(report.has_errors(), failed, "{kind}");
    }
}
