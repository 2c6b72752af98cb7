//! A batch of known length, one result for each item: who runs it.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;

use crate::alone;
use crate::failure::discard;
use crate::history::Kind;
use crate::hub::Hub;
use crate::shared;

/// Indices of a batch have 32 bits.
const LONGEST: usize = u32::MAX as usize;

/// A panicked item: its index and its payload.
pub(crate) type Panicked = (usize, Box<dyn Any + Send>);
/// The result at an index is that of the item at the index. If items panicked, only their panics
/// are returned, in order.
pub(crate) type Results<U> = Result<Vec<U>, Vec<Panicked>>;
/// What came of some items, and the source unless it has ended.
pub(crate) type Ran<S, U> = (Results<U>, Option<S>);

/// Runs `job` on every item, with the caller's and the workers' hands.
///
/// # Panics
///
/// If the source panics, or memory is too short for the batch's ring or results.
pub(crate) fn run<S, U, F>(hub: &Arc<Hub>, source: S, job: &F) -> Results<U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    match source.size_hint() {
        (least, Some(most)) if least == most => run_some(hub, source, least.min(LONGEST), job),
        _ => run_collected(hub, source, job),
    }
}

fn run_collected<I, U, F>(hub: &Arc<Hub>, source: impl Iterator<Item = I>, job: &F) -> Results<U>
where
    I: Send,
    U: Send,
    F: Fn(I) -> U + Sync,
{
    let items: Vec<I> = source.collect();
    let count = items.len().min(LONGEST);
    run_some(hub, items.into_iter(), count, job)
}

/// Runs `count` items, if there are so many, and then those that are still left.
fn run_some<S, U, F>(hub: &Arc<Hub>, source: S, count: usize, job: &F) -> Results<U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    let (results, source) = match count {
        0 => (Ok(Vec::new()), Some(source)),
        _ => run_promised(hub, source, count, job),
    };
    let Some(mut source) = source else { return results };
    match source.next() {
        None => results,
        Some(item) => {
            let rest = std::iter::once(item).chain(source);
            append(results, count, run_collected(hub, rest, job))
        }
    }
}

/// Runs up to `count` items, at least 1: alone as long as that is expected to take no time, for a worker would
/// leave them alone for so long as well.
fn run_promised<S, U, F>(hub: &Arc<Hub>, source: S, count: usize, job: &F) -> Ran<S, U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    let share = shared::run::<S, U, F> as fn(&Arc<Hub>, Kind, S, usize, &F) -> Ran<S, U>;
    let kind = Kind::of_code(share as *const ());
    if !hub.begins_alone(kind, count) {
        return share(hub, kind, source, count, job);
    }
    let (results, source, ran) = alone::run(hub, kind, source, count, job);
    match source {
        Some(source) if ran < count => {
            let (more, source) = share(hub, kind, source, count - ran, job);
            (append(results, ran, more), source)
        }
        source => (results, source),
    }
}

/// Runs `job` on the indices from 0 to `len`.
///
/// # Panics
///
/// If memory is too short for the batch's ring or results.
pub(crate) fn run_indexed<U, F>(hub: &Arc<Hub>, len: usize, job: &F) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let mut results = Ok(Vec::new());
    let mut first = 0;
    while first < len {
        let count = (len - first).min(LONGEST);
        let part = run_indices(hub, first, count, job);
        results = if first == 0 { part } else { append(results, first, part) };
        first += count;
    }
    results
}

/// As [`run_promised`], with items that are there at once.
fn run_indices<U, F>(hub: &Arc<Hub>, first: usize, count: usize, job: &F) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let share = shared::run_indexed::<U, F> as fn(&Arc<Hub>, Kind, usize, usize, &F) -> Results<U>;
    let kind = Kind::of_code(share as *const ());
    if !hub.begins_alone(kind, count) {
        return share(hub, kind, first, count, job);
    }
    let (results, _, ran) = alone::run(hub, kind, first..first + count, count, job);
    if ran == count {
        return results;
    }
    append(results, ran, share(hub, kind, first + ran, count - ran, job))
}

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

fn append<U>(first: Results<U>, count: usize, second: Results<U>) -> Results<U> {
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
