//! The results of a batch, or of a part of it.

use std::any::Any;
use std::panic::resume_unwind;

use crate::unwind::discard;

/// A panicked item: its index and its payload.
pub(crate) type Panicked = (usize, Box<dyn Any + Send>);
/// The result at an index is that of the item at the index. If items panicked, only their panics
/// are returned, in order.
pub(crate) type Results<U> = Result<Vec<U>, Vec<Panicked>>;
/// What came of some items, and the source unless it has ended.
pub(crate) type Ran<S, U> = (Results<U>, Option<S>);

/// The values alone.
///
/// # Panics
///
/// With the first panic, if items panicked.
pub(crate) fn values<U>(results: Results<U>) -> Vec<U> {
    results.unwrap_or_else(|panics| {
        let mut panics = panics.into_iter();
        let (_, first) = panics.next().expect("only failures come with panics");
        panics.for_each(|(_, payload)| discard(payload));
        resume_unwind(first)
    })
}

/// Joins the results of two parts, of which the first has `count` items.
pub(crate) fn append<U>(first: Results<U>, count: usize, second: Results<U>) -> Results<U> {
    match (first, second) {
        (Ok(mut values), Ok(more)) => {
            values.extend(more);
            Ok(values)
        }
        (first, second) => {
            let shifted = |(index, payload)| (count + index, payload);
            let mut panics = panics_of(first);
            panics.extend(panics_of(second).into_iter().map(shifted));
            Err(panics)
        }
    }
}

/// The panics alone. Values that nobody gets are dropped one by one, since that may panic too.
fn panics_of<U>(results: Results<U>) -> Vec<Panicked> {
    results.map_or_else(
        |panics| panics,
        |values| {
            values.into_iter().for_each(discard);
            Vec::new()
        },
    )
}
