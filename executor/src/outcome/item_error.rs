//! The failure of an item, with the index of the item.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;

use crate::outcome::Failure;

/// The failure of one item, with the index of the item. Returned by
/// [`BatchReport::into_values`](crate::BatchReport::into_values),
/// [`Ordered::item_results`](crate::Ordered::item_results) and
/// [`TryValues::item_results`](crate::TryValues::item_results), which have examples.
#[derive(Debug)]
#[non_exhaustive]
pub struct ItemError<E = Infallible> {
    /// The index of the item. A failure that stands for all items that were not pulled has the
    /// index of the first of them.
    pub index: usize,
    /// The reason why the item has no value.
    pub failure: Failure<E>,
}

impl<E> ItemError<E> {
    pub(crate) fn new(index: usize, failure: Failure<E>) -> ItemError<E> {
        ItemError { index, failure }
    }

    /// Returns the error of an item of a stream.
    pub(crate) fn at(index: u64, failure: Failure<E>) -> ItemError<E> {
        ItemError::new(usize::try_from(index).unwrap_or(usize::MAX), failure)
    }
}

impl<E: fmt::Display> fmt::Display for ItemError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}: {}", self.index, self.failure)
    }
}

/// The text includes the text of the failure. So `source` skips the failure: it returns the
/// failure's own source.
impl<E: fmt::Debug + fmt::Display + 'static> Error for ItemError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.source()
    }
}

/// Keeps the kind of the job's error. The new error has the `ItemError` as its inner error, with
/// its text. [`Executor::try_map`](crate::Executor::try_map) has an example.
impl From<ItemError<io::Error>> for io::Error {
    fn from(error: ItemError<io::Error>) -> io::Error {
        let kind = error.failure.error().map_or(io::ErrorKind::Other, io::Error::kind);
        io::Error::new(kind, error)
    }
}
