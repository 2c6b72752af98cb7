//! The output for the user: a progress bar, a line per file, and errors.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Error, shown};
use crate::member::Size;

type Sink = Box<dyn Write + Send>;

/// The output that all threads share. It prints whole lines.
pub(crate) struct Report {
    bar: ProgressBar,
    sinks: Mutex<Sinks>,
    errors: AtomicBool,
}

struct Sinks {
    lines: Sink,
    errors: Sink,
}

impl Report {
    /// Creates a report with a progress bar if standard error is a terminal.
    pub(crate) fn for_terminal() -> Report {
        let bar = if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template(
                "[{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            );
            // ASCII, because the library counts bytes as columns without further features.
            let style = style.expect("the template is valid").progress_chars("=> ");
            ProgressBar::new(0).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        Report { bar, ..Report::new(Box::new(io::stdout()), Box::new(io::stderr())) }
    }

    pub(crate) fn new(lines: Sink, errors: Sink) -> Report {
        Report {
            bar: ProgressBar::hidden(),
            sinks: Mutex::new(Sinks { lines, errors }),
            errors: AtomicBool::new(false),
        }
    }

    /// Adds to the number of expected bytes.
    pub(crate) fn expect(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Removes the progress bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    pub(crate) fn file(&self, path: &Path, size: Size, took: Duration) {
        self.line(&format!("{}: {}", shown(path), summary(size, took)));
    }

    pub(crate) fn file_error(&self, path: &Path, error: &Error) {
        self.error(&format!("{}: {error}", shown(path)));
    }

    pub(crate) fn line(&self, line: &str) {
        let written = self.print(line, |sinks| &mut sinks.lines);
        match written {
            Ok(()) => {}
            // The reader has closed the pipe, which does not stop the compression.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => self.error(&format!("cannot print: {error}")),
        }
    }

    pub(crate) fn error(&self, message: &str) {
        // ORDERING: gzip:errors: Relaxed; it is read when all threads have been joined.
        self.errors.store(true, Ordering::Relaxed);
        // If the message cannot be printed, there is still the exit status.
        let _ = self.print(&format!("parallel_gzip: {message}"), |sinks| &mut sinks.errors);
    }

    pub(crate) fn has_errors(&self) -> bool {
        // ORDERING: gzip:errors: as above.
        self.errors.load(Ordering::Relaxed)
    }

    /// Prints a whole line, while the progress bar is hidden.
    fn print(&self, line: &str, sink: impl Fn(&mut Sinks) -> &mut Sink) -> io::Result<()> {
        let line = format!("{line}\n");
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let sink = sink(&mut sinks);
        self.bar.suspend(|| {
            sink.write_all(line.as_bytes())?;
            sink.flush()
        })
    }
}

/// Returns a line such as
/// `67108864 -> 16777216 bytes (25.0 %), 512 blocks, 0.50 s, 128.0 MiB/s`.
pub(crate) fn summary(size: Size, took: Duration) -> String {
    let Size { input, output, blocks } = size;
    let seconds = took.as_secs_f64();
    let ratio = match input {
        0 => String::new(),
        _ => format!(" ({:.1} %)", 100.0 * output as f64 / input as f64),
    };
    let plural = if blocks == 1 { "" } else { "s" };
    let speed = input as f64 / seconds.max(1e-9) / (1024.0 * 1024.0);
    format!(
        "{input} -> {output} bytes{ratio}, {blocks} block{plural}, {seconds:.2} s, {speed:.1} MiB/s"
    )
}
