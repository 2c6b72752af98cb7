//! Compresses or decompresses all files, with several threads.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::time::Instant;

use crate::args::Args;
use crate::engine::Engine;
use crate::error::{ERROR, Error};
use crate::in_order::in_order;
use crate::inflate::inflate;
use crate::job::{Input, Job, Output};
use crate::member::{Origin, Size};
use crate::output::Incomplete;
use crate::report::{Report, summary};
use crate::signals;

/// The largest number of open files. It bounds the memory. With several files, one can start while
/// another ends.
pub(crate) const FILES_AT_ONCE: usize = 4;

/// Runs each job. Reports a file that fails, and continues with the others.
///
/// # Errors
///
/// Fails if the threads cannot start.
pub(crate) fn jobs(
    engine: &Engine,
    args: &Args,
    jobs: Vec<Result<Job, (Input, Error)>>,
    report: &mut Report,
) -> Result<(), String> {
    let started = Instant::now();
    let bar = report.bar(jobs.iter().flatten().map(|job| job.size).sum());
    // Outputs to standard output follow each other.
    let threads = if args.writes_data() { 1 } else { FILES_AT_ONCE };
    let run = |job: Result<Job, (Input, Error)>| {
        let started = Instant::now();
        let job = job?;
        match one(engine, args, &job, |bytes| bar.inc(bytes)) {
            Ok(size) => Ok((job.input, size, started.elapsed())),
            Err(error) => Err((job.input, error)),
        }
    };
    let (mut files, mut total) = (0, Size::default());
    in_order(jobs, threads, run, |outcome| match outcome {
        Ok(Ok((input, size, took))) => {
            report.line(&format!("{input}: {}", summary(size, took)));
            files += 1;
            total += size;
        }
        Ok(Err((input, error))) => report.error(&format!("{input}: {error}"), error.status()),
        Err(failure) => report.error(&failure.to_string(), ERROR),
    })?;
    bar.finish_and_clear();
    if files > 1 {
        report.line(&format!("{files} files: {}", summary(total, started.elapsed())));
    }
    Ok(())
}

/// Runs a job. Calls `advance` with numbers of bytes of the input.
fn one(engine: &Engine, args: &Args, job: &Job, advance: impl Fn(u64)) -> Result<Size, Error> {
    let (input, metadata) = job.input.open().map_err(Error::Open)?;
    let convert = |output: &mut dyn Write| {
        let mut output = BufWriter::new(output);
        if args.decompress {
            inflate(input, &mut output, advance)
        } else {
            let origin = if args.no_name { Origin::default() } else { origin(job, &metadata) };
            engine.compress(input, &mut output, &origin, advance)
        }
    };
    match &job.output {
        Output::Stdout => {
            let result = convert(&mut io::stdout());
            if matches!(&result, Err(Error::Write(error)) if error.kind() == ErrorKind::BrokenPipe)
            {
                signals::end_by_closed_pipe();
            }
            result
        }
        Output::File(path) => {
            let output = Incomplete::create(path).map_err(Error::Write)?;
            let result = convert(&mut output.file());
            if matches!(result, Ok(_) | Err(Error::Garbage)) {
                if let Some(metadata) = &metadata {
                    keep_attributes(output.file(), metadata).map_err(Error::Write)?;
                }
                output.complete(path, args.force).map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => Error::OutputExists(path.clone()),
                    _ => Error::Write(error),
                })?;
            }
            result
        }
    }
}

fn origin(job: &Job, metadata: &Option<Metadata>) -> Origin {
    let name = match &job.input {
        Input::Stdin => None,
        Input::File(path) => path.file_name().map(ToOwned::to_owned),
    };
    let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    Origin { name, modified }
}

/// Gives the output the time and the permissions of the input, so a private file stays private.
fn keep_attributes(output: &File, input: &Metadata) -> io::Result<()> {
    output.set_modified(input.modified()?)?;
    output.set_permissions(plain(input.permissions()))
}

/// Returns the permissions without the set-user-ID, set-group-ID and sticky bits.
#[cfg(unix)]
fn plain(mode: fs::Permissions) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(mode.mode() & 0o777)
}

#[cfg(not(unix))]
fn plain(mode: fs::Permissions) -> fs::Permissions {
    mode
}
