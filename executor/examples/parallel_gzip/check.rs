//! The run without arguments: compresses files of this repository, decompresses them, and compares.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::args::Args;
use crate::engine::Engine;
use crate::error::{ERROR, Error, shown};
use crate::in_order::in_order;
use crate::inflate::inflate;
use crate::member::{Origin, Size};
use crate::report::{Report, summary};
use crate::run::FILES_AT_ONCE;

/// Compresses files of the repository in memory, and checks the outputs.
///
/// # Errors
///
/// Fails if there are no files, or if their folder cannot be read.
pub(crate) fn own_files(engine: &Engine, args: &Args, report: &mut Report) -> Result<(), String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A published package is outside the repository, and then only its own files are used.
    let is_repository = |parent: &&Path| parent.join("executor/Cargo.toml").is_file();
    let root = package.parent().filter(is_repository).unwrap_or(package);
    let files = sources(root).map_err(|error| format!("{}: {error}", shown(root)))?;
    if files.is_empty() {
        return Err(format!("{}: there is nothing to compress", shown(root)));
    }
    let (mut good, all, started) = (0, files.len(), Instant::now());
    let bar = report.bar(all as u64);
    let mut total = Size::default();
    let run = |path: PathBuf| {
        let started = Instant::now();
        let result = compress_and_check(engine, &path);
        bar.inc(1);
        (path, result, started.elapsed())
    };
    in_order(files, FILES_AT_ONCE, run, |outcome| match outcome {
        Ok((path, Ok(size), took)) => {
            good += 1;
            total += size;
            if args.verbose {
                report.line(&format!("{}: {}", shown(&path), summary(size, took)));
            }
        }
        Ok((path, Err(error), _)) => {
            report.error(&format!("{}: {error}", shown(&path)), error.status());
        }
        Err(failure) => report.error(&failure.to_string(), ERROR),
    })?;
    bar.finish_and_clear();
    report.line(&format!("files of {}: {}", shown(root), summary(total, started.elapsed())));
    report.line(&format!("{good} of {all} files checked: they decompress to their inputs"));
    Ok(())
}

fn compress_and_check(engine: &Engine, path: &Path) -> Result<Size, Error> {
    let content = fs::read(path).map_err(Error::Open)?;
    let mut compressed = Vec::new();
    let size = engine.compress(&content[..], &mut compressed, &Origin::default(), |_| {})?;
    check(&compressed, &content)?;
    Ok(size)
}

/// Checks that `compressed` decompresses to `content`.
pub(crate) fn check(compressed: &[u8], content: &[u8]) -> Result<(), Error> {
    let mut decompressed = Vec::new();
    inflate(compressed, &mut decompressed, |_| {})?;
    if decompressed == content { Ok(()) } else { Err(Error::Differs) }
}

/// Returns the source and text files below `folder`, in a fixed order. Leaves out built files,
/// hidden files, and links.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kind = path.extension().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if matches!(&*kind, "rs" | "md" | "toml" | "lock" | "sh") {
            found.push(path);
        }
    }
    Ok(found)
}
