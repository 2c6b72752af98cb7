//! The reason why a writer or a reader has failed.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::outcome::Failure;
use crate::unwind::discard;

/// The first error of a writer or a reader, for the calls after it.
pub(super) struct Broken {
    kind: ErrorKind,
    text: Cow<'static, str>,
}

impl Broken {
    /// Returns the reason after a panic. `text` names the actor that panicked.
    pub(super) fn by_panic(text: &'static str) -> Broken {
        Broken { kind: ErrorKind::Other, text: Cow::Borrowed(text) }
    }

    /// Returns the reason after an error.
    pub(super) fn by(error: &Error) -> Broken {
        // The error may be of a user's type. If its `Display` panics, the handle still ends.
        let text = catch_unwind(AssertUnwindSafe(|| Cow::Owned(error.to_string())));
        let text = text.unwrap_or_else(|payload| {
            discard(payload);
            Cow::Borrowed("the text of the first error panicked")
        });
        Broken { kind: error.kind(), text }
    }

    /// Returns the error of a later call: the kind of the first error, and a text that ends with
    /// the text of the first error. `handle` is the name of the handle.
    pub(super) fn error(&self, handle: &str) -> Error {
        Error::new(self.kind, format!("{handle} has failed before: {}", self.text))
    }
}

/// Returns an error that ends a handle, with another kind than `Interrupted`.
///
/// Callers such as [`std::io::copy`] repeat a call that was interrupted. A handle that went on
/// would leave a gap.
pub(super) fn fatal(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Interrupted => Error::other(error),
        _ => error,
    }
}

/// Returns the error for a block or a frame whose job or source panicked.
pub(super) fn failed(failure: Failure<Infallible>) -> Error {
    Error::other(failure)
}
