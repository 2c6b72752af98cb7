//! The run without arguments: compresses files of this repository, decompresses them, and compares.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::engine::Engine;
use crate::error::shown;
use crate::plan::Job;
use crate::report::Report;
use crate::run;

/// Compresses files of the repository into a temporary folder, and checks them.
///
/// # Errors
///
/// Fails if the files cannot be read or the temporary folder cannot be created.
pub(crate) fn own_files(engine: &Engine, report: &Report) -> Result<(), String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A published package is outside the repository, and then only its own files are used.
    let is_repository = |parent: &&Path| parent.join("executor/Cargo.toml").is_file();
    let root = package.parent().filter(is_repository).unwrap_or(package);
    let error_at = |path: &Path| {
        let path = shown(path);
        move |error: io::Error| format!("{path}: {error}")
    };
    let files = sources(root).map_err(error_at(root))?;
    if files.is_empty() {
        return Err(format!("{}: there is nothing to compress", shown(root)));
    }
    let folder = tempfile::Builder::new()
        .prefix("parallel_gzip-")
        .tempdir()
        .map_err(error_at(&std::env::temp_dir()))?;
    let mut jobs = Vec::new();
    for input in files {
        // The outputs have the same subfolders, for files in different folders may share a name.
        let relative = input.strip_prefix(root).expect("the file is below the root");
        let mut output = folder.path().join(relative).into_os_string();
        output.push(".gz");
        let output = PathBuf::from(output);
        let parent = output.parent().expect("the output is below the folder");
        fs::create_dir_all(parent).map_err(error_at(parent))?;
        let size = fs::metadata(&input).map_err(error_at(&input))?.len();
        jobs.push(Job { input, output, force: false, size });
    }
    run::jobs(engine, &jobs, report);
    check(engine, &jobs, report);
    Ok(())
}

/// Decompresses the outputs in parallel, and compares each with its input.
pub(crate) fn check(engine: &Engine, jobs: &[Job], report: &Report) {
    let checked = engine.executor.map(jobs, same);
    let mut good = 0;
    for (job, same) in jobs.iter().zip(checked) {
        match same {
            Ok(true) => good += 1,
            Ok(false) => {
                report.error(&format!("{}: differs after decompression", shown(&job.input)))
            }
            Err(error) => report.error(&format!("{}: {error}", shown(&job.output))),
        }
    }
    report
        .line(&format!("{good} of {} files checked: they decompress to their inputs", jobs.len()));
}

fn same(job: &Job) -> io::Result<bool> {
    let output = MultiGzDecoder::new(BufReader::new(File::open(&job.output)?));
    same_bytes(BufReader::new(File::open(&job.input)?), BufReader::new(output))
}

fn same_bytes(mut one: impl BufRead, mut other: impl BufRead) -> io::Result<bool> {
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let count = left.len().min(right.len());
        if count == 0 || left[..count] != right[..count] {
            return Ok(left.is_empty() && right.is_empty());
        }
        one.consume(count);
        other.consume(count);
    }
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
