//! The errors of a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The exit status after an error.
pub(crate) const ERROR: u8 = 1;
/// The exit status after a warning: an input is ignored, or a part of it.
pub(crate) const WARNING: u8 = 2;

/// The reason why a file was not compressed or decompressed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The file is missing or cannot be opened.
    Open(io::Error),
    Directory,
    /// The file is a pipe, a device or another special file.
    NotRegular,
    /// A file to compress has the suffix of compressed files.
    HasSuffix,
    /// A file to decompress has another suffix.
    NoSuffix,
    /// Compressed data would be read from a terminal, or written to it.
    Terminal,
    OutputExists(PathBuf),
    /// Another input has the same output.
    SameOutput {
        output: PathBuf,
        other: PathBuf,
    },
    OutputIsInput(PathBuf),
    Read(io::Error),
    Write(io::Error),
    Inflate(io::Error),
    /// The output is complete, but other bytes follow the compressed ones.
    Garbage,
    /// The output does not decompress to the input.
    Differs,
}

impl Error {
    /// Returns the exit status that gzip has for such an error.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Error::HasSuffix => 0,
            Error::Directory
            | Error::NotRegular
            | Error::NoSuffix
            | Error::OutputExists(_)
            | Error::Garbage => WARNING,
            _ => ERROR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Open(error) => error.fmt(f),
            Error::Directory => f.write_str("is a directory, and is ignored"),
            Error::NotRegular => f.write_str("is not a regular file, and is ignored"),
            Error::HasSuffix => f.write_str("already has the suffix .gz, and is unchanged"),
            Error::NoSuffix => f.write_str("does not have the suffix .gz, and is ignored"),
            Error::Terminal => {
                f.write_str("compressed data belongs on no terminal; --force allows it")
            }
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
            Error::Write(error) => write!(f, "cannot write the output: {error}"),
            Error::Inflate(error) => write!(f, "cannot decompress: {error}"),
            Error::Garbage => f.write_str("decompressed, but other data follows, and is ignored"),
            Error::Differs => f.write_str("differs after decompression"),
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
