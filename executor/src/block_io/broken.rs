//! The reason why a handle does nothing any more.

use std::convert::Infallible;
use std::io::{Error, ErrorKind};

use crate::outcome::Failure;

/// The first error of a writer or a reader, for the calls after it.
pub(super) struct Broken {
    kind: ErrorKind,
    text: String,
}

impl Broken {
    pub(super) fn new(text: &str) -> Broken {
        Broken { kind: ErrorKind::Other, text: text.to_owned() }
    }

    pub(super) fn by(error: &Error) -> Broken {
        Broken { kind: error.kind(), text: error.to_string() }
    }

    /// Returns the error of a later call. `handle` is the name of the handle.
    pub(super) fn error(&self, handle: &str) -> Error {
        Error::new(self.kind, format!("{handle} has failed before: {}", self.text))
    }
}

/// Returns an error that ends a handle. Callers such as [`std::io::copy`] repeat a call that was
/// interrupted, and that would go on behind a gap.
pub(super) fn fatal(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Interrupted => Error::other(error),
        _ => error,
    }
}

/// Returns the error for a block that has no outcome.
pub(super) fn failed(failure: Failure<Infallible>) -> Error {
    Error::other(failure)
}
