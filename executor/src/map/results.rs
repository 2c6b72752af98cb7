//! The results of a batch, or of a part of it.

use std::any::Any;
use std::panic::resume_unwind;

use crate::unwind::discard;

/// The index of an item whose job panicked, and the payload.
pub(crate) type Panicked = (usize, Box<dyn Any + Send>);
/// The result of each item at its index. If items panicked, only their panics, in order.
pub(crate) type Results<U> = Result<Vec<U>, Vec<Panicked>>;
/// The results of some items, the source unless it has ended, and the number of these items.
pub(crate) type Ran<S, U> = (Results<U>, Option<S>, usize);

/// Returns the values, or resumes the first panic.
///
/// # Panics
///
/// With the first panic, if items panicked.
#[inline]
pub(crate) fn values<U>(results: Results<U>) -> Vec<U> {
    results.unwrap_or_else(|panics| {
        let mut panics = panics.into_iter();
        let (_, first) = panics.next().expect("a failed batch has a panic");
        panics.for_each(discard);
        resume_unwind(first)
    })
}

/// Returns the values if no item panicked. Otherwise drops them and returns the panics.
#[inline]
pub(crate) fn from_parts<U>(values: Vec<U>, panics: Vec<Panicked>) -> Results<U> {
    if panics.is_empty() {
        return Ok(values);
    }
    // One by one, because the `Drop` of each may panic.
    values.into_iter().for_each(discard);
    Err(panics)
}

/// Drops what a batch had, and resumes the panic of its source.
///
/// # Panics
///
/// Always.
pub(crate) fn resume_source_panic<S, U>(
    results: Results<U>,
    source: S,
    payload: Box<dyn Any + Send>,
) -> ! {
    // One by one: a value that is dropped while a panic unwinds must not panic itself.
    match results {
        Ok(values) => values.into_iter().for_each(discard),
        Err(panics) => panics.into_iter().for_each(discard),
    }
    discard(source);
    resume_unwind(payload)
}

/// Joins the results of two parts, of which the first has `count` items.
#[inline]
pub(crate) fn append<U>(first: Results<U>, count: usize, second: Results<U>) -> Results<U> {
    if count == 0 {
        return second;
    }
    let split = |results: Results<U>| match results {
        Ok(values) => (values, Vec::new()),
        Err(panics) => (Vec::new(), panics),
    };
    let ((mut values, mut panics), (more, more_panics)) = (split(first), split(second));
    values.extend(more);
    panics.extend(more_panics.into_iter().map(|(index, payload)| (count + index, payload)));
    from_parts(values, panics)
}
