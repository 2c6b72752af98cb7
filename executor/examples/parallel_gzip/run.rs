//! Compresses all files, with several threads.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::engine::Engine;
use crate::error::shown;
use crate::member::Size;
use crate::plan::{Job, Plan};
use crate::report::{Report, summary};

/// The largest number of open files. It bounds the memory. With several files, one can start while
/// another ends.
const FILES_AT_ONCE: usize = 4;

/// Compresses the files that the arguments name.
///
/// # Errors
///
/// Fails if the folder for the outputs cannot be created.
pub(crate) fn files(engine: &Engine, args: &Args, report: &Report) -> Result<(), String> {
    if let Some(out) = &args.out {
        fs::create_dir_all(out)
            .map_err(|error| format!("cannot create the folder {}: {error}", shown(out)))?;
    }
    let plan = Plan::new(&args.files, args.out.as_deref(), args.force);
    for (path, error) in &plan.refused {
        report.file_error(path, error);
    }
    jobs(engine, &plan.jobs, report);
    Ok(())
}

/// Compresses each file. Reports a file that fails, and continues with the others.
pub(crate) fn jobs(engine: &Engine, jobs: &[Job], report: &Report) {
    let started = Instant::now();
    report.expect(jobs.iter().map(|job| job.size).sum());
    let next = AtomicUsize::new(0);
    let total = Mutex::new((0usize, Size::default()));
    let take_files = || {
        // ORDERING: gzip:next: Relaxed; it only gives each thread another index.
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(size) = file(engine, job, report) {
                let (files, all) = &mut *total.lock().expect("adding does not panic");
                *files += 1;
                all.input += size.input;
                all.output += size.output;
                all.blocks += size.blocks;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..FILES_AT_ONCE.min(jobs.len()) {
            scope.spawn(take_files);
        }
        take_files();
    });
    report.end();
    let (files, all) = total.into_inner().expect("adding does not panic");
    if files > 1 {
        report.line(&total_line(files, all, started.elapsed()));
    }
}

fn file(engine: &Engine, job: &Job, report: &Report) -> Option<Size> {
    let started = Instant::now();
    match engine.compress(job, |bytes| report.advance(bytes)) {
        Ok(size) => {
            report.file(&job.input, size, started.elapsed());
            Some(size)
        }
        Err(error) => {
            report.file_error(&job.input, &error);
            None
        }
    }
}

fn total_line(files: usize, all: Size, took: Duration) -> String {
    format!("{files} files: {}", summary(all, took))
}
