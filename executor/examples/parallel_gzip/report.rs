//! The output for the user: a progress bar, a line per file, and errors.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Args;
use crate::error::ERROR;
use crate::member::Size;

type Sink = Box<dyn Write + Send>;

/// Prints whole lines, and remembers the exit status.
pub(crate) struct Report {
    bar: ProgressBar,
    lines: Sink,
    errors: Sink,
    status: u8,
}

impl Report {
    /// Creates a report with a progress bar if standard error is a terminal.
    pub(crate) fn for_terminal(args: &Args) -> Report {
        let lines: Sink = match (args.writes_data(), args.verbose) {
            (false, _) => Box::new(io::stdout()),
            (true, true) => Box::new(io::stderr()),
            (true, false) => Box::new(io::sink()),
        };
        let bar = if io::stderr().is_terminal() && !args.writes_data() {
            let style = ProgressStyle::with_template(
                "[{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            );
            // ASCII, because the library counts bytes as columns without further features.
            let style = style.expect("the template is valid").progress_chars("=> ");
            ProgressBar::new(0).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        Report { bar, ..Report::new(lines, Box::new(io::stderr())) }
    }

    pub(crate) fn new(lines: Sink, errors: Sink) -> Report {
        Report { bar: ProgressBar::hidden(), lines, errors, status: 0 }
    }

    /// Starts the progress bar for an input of `bytes` bytes in total.
    pub(crate) fn bar(&self, bytes: u64) -> ProgressBar {
        self.bar.set_length(bytes);
        self.bar.clone()
    }

    pub(crate) fn line(&mut self, line: &str) {
        match print(&self.bar, &mut self.lines, line) {
            Ok(()) => {}
            // The reader has closed the pipe, which does not stop the compression.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => self.error(&format!("cannot print: {error}"), ERROR),
        }
    }

    pub(crate) fn error(&mut self, message: &str, status: u8) {
        // An error counts more than warnings.
        if self.status != ERROR && status != 0 {
            self.status = status;
        }
        // If the message cannot be printed, there is still the exit status.
        _ = print(&self.bar, &mut self.errors, &format!("parallel_gzip: {message}"));
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

/// Prints a whole line, while the progress bar is hidden.
fn print(bar: &ProgressBar, sink: &mut Sink, line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    bar.suspend(|| {
        sink.write_all(line.as_bytes())?;
        sink.flush()
    })
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
    let blocks = match blocks {
        0 => String::new(),
        1 => ", 1 block".to_owned(),
        _ => format!(", {blocks} blocks"),
    };
    let speed = input as f64 / seconds.max(1e-9) / (1024.0 * 1024.0);
    format!("{input} -> {output} bytes{ratio}{blocks}, {seconds:.2} s, {speed:.1} MiB/s")
}
