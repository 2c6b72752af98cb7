//! The errors of a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use flate2::CompressError;
use reorder_executor::Failure;

/// The reason why a file was not compressed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The file is missing or cannot be opened.
    Open(io::Error),
    Directory,
    /// The file is a pipe, a device or another special file.
    NotRegular,
    OutputExists(PathBuf),
    /// Another input has the same output.
    SameOutput {
        output: PathBuf,
        other: PathBuf,
    },
    OutputIsInput(PathBuf),
    Read(io::Error),
    Write {
        output: PathBuf,
        error: io::Error,
    },
    Deflate(CompressError),
    /// A job or the source panicked.
    Job(Failure),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Open(error) => error.fmt(f),
            Error::Directory => f.write_str("is a directory"),
            Error::NotRegular => f.write_str("is not a regular file"),
            Error::OutputExists(output) => {
                write!(f, "its output {} exists; --force replaces it", shown(output))
            }
            Error::SameOutput { output, other } => {
                write!(f, "its output {} is also the output of {}", shown(output), shown(other))
            }
            Error::OutputIsInput(output) => {
                write!(f, "its output {} is another input", shown(output))
            }
            Error::Read(error) => write!(f, "cannot read the rest: {error}"),
            Error::Write { output, error } => write!(f, "cannot write {}: {error}", shown(output)),
            Error::Deflate(error) => write!(f, "cannot compress: {error}"),
            Error::Job(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Returns a path for messages, on one line and without control characters.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for c in path.display().to_string().chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_path_is_one_line_without_control_characters() {
        assert_eq!(shown(Path::new("a b/ü.txt")), "a b/ü.txt");
        assert_eq!(shown(Path::new("a\nb\x1b[2J")), "a\\nb\\u{1b}[2J");
    }
}
