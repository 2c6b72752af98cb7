//! The results of a batch, or of a part of it.
//!
//! User code runs while results wait: the source of a later part, and the `Drop` of a source, of a
//! job's captures and of the states of `map_init`. Each may panic. So results are kept in
//! [`DiscardEach`], which survives that, even if the `Drop` of a result panics as well.

use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::memory;
use crate::unwind::{DiscardEach, discard};

/// The index of an item whose job panicked, and the payload.
pub(crate) type Panicked = (usize, Box<dyn Any + Send>);
/// The result of each item at its index. If items panicked, only their panics, in order.
pub(crate) type Results<U> = Result<DiscardEach<U>, DiscardEach<Panicked>>;
/// The results of some items, the source unless it has ended, and the number of these items.
pub(crate) type Ran<S, U> = (Results<U>, Option<S>, usize);

/// Returns the values, or resumes the first panic.
///
/// # Panics
///
/// With the first panic, if there is one.
#[inline]
pub(crate) fn values<U>(results: Results<U>) -> Vec<U> {
    match results {
        Ok(values) => values.into_vec(),
        Err(mut panics) => {
            let (_, first) = panics.0.swap_remove(0);
            drop(panics);
            resume_unwind(first)
        }
    }
}

/// Drops what a batch `used`. If that panics, the panic counts as the last one of the batch.
#[inline]
pub(crate) fn release<U, T>(results: Results<U>, used: T) -> Results<U> {
    if !needs_drop::<T>() {
        return results;
    }
    match catch_unwind(AssertUnwindSafe(|| drop(used))) {
        Ok(()) => results,
        Err(payload) => append(results, usize::MAX, Err(DiscardEach(vec![(0, payload)]))),
    }
}

/// Returns the values if no item panicked. Otherwise drops them and returns the panics.
#[inline]
pub(crate) fn from_parts<U>(values: DiscardEach<U>, panics: DiscardEach<Panicked>) -> Results<U> {
    if panics.0.is_empty() { Ok(values) } else { Err(panics) }
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
    drop(results);
    discard(source);
    resume_unwind(payload)
}

/// Joins the results of two parts, of which the first has `count` items.
#[inline]
pub(crate) fn append<U>(first: Results<U>, count: usize, second: Results<U>) -> Results<U> {
    if count == 0 {
        return second;
    }
    match (first, second) {
        (Ok(mut values), Ok(mut more)) => {
            memory::reserve(&mut values.0, more.0.len());
            values.0.append(&mut more.0);
            Ok(values)
        }
        (Err(panics), Ok(_)) => Err(panics),
        (first, Err(mut more)) => {
            more.0.iter_mut().for_each(|(index, _)| *index += count);
            let Err(mut panics) = first else { return Err(more) };
            panics.0.append(&mut more.0);
            Err(panics)
        }
    }
}
