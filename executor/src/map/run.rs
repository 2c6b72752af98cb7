//! A batch of known length, one result for each item: who runs it.

use std::sync::Arc;

use crate::cost::JobType;
use crate::map::inline;
use crate::map::parallel;
use crate::map::results::{Ran, Results, append};
use crate::scheduler::{GRACE, Scheduler};

/// Indices of a batch have 32 bits.
const LONGEST: usize = u32::MAX as usize;

/// Runs `job` on every item, with the caller's and the workers' hands.
///
/// # Panics
///
/// If the source panics, or memory is too short for the batch's ring or results.
pub(crate) fn run<S, U, F>(scheduler: &Arc<Scheduler>, source: S, job: &F) -> Results<U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    match source.size_hint() {
        (least, Some(most)) if least == most => {
            run_some(scheduler, source, least.min(LONGEST), job)
        }
        _ => run_collected(scheduler, source, job),
    }
}

fn run_collected<I, U, F>(
    scheduler: &Arc<Scheduler>,
    source: impl Iterator<Item = I>,
    job: &F,
) -> Results<U>
where
    I: Send,
    U: Send,
    F: Fn(I) -> U + Sync,
{
    let items: Vec<I> = source.collect();
    let count = items.len().min(LONGEST);
    run_some(scheduler, items.into_iter(), count, job)
}

/// Runs `count` items, if there are so many, and then those that are still left.
fn run_some<S, U, F>(scheduler: &Arc<Scheduler>, source: S, count: usize, job: &F) -> Results<U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    let (results, source) = match count {
        0 => (Ok(Vec::new()), Some(source)),
        _ => run_promised(scheduler, source, count, job),
    };
    let Some(mut source) = source else { return results };
    match source.next() {
        None => results,
        Some(item) => {
            let rest = std::iter::once(item).chain(source);
            append(results, count, run_collected(scheduler, rest, job))
        }
    }
}

/// Returns `true` if a batch should be over before a worker would look at it.
fn runs_inline(scheduler: &Scheduler, job_type: JobType, items: usize) -> bool {
    let expected = || scheduler.costs.expect(job_type, items);
    items == 1 || expected().is_some_and(|expected| expected < GRACE)
}

/// Runs up to `count` items, at least 1: alone as long as that is expected to take no time, for a worker would
/// leave them alone for so long as well.
fn run_promised<S, U, F>(scheduler: &Arc<Scheduler>, source: S, count: usize, job: &F) -> Ran<S, U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    let in_parallel =
        parallel::run::<S, U, F> as fn(&Arc<Scheduler>, JobType, S, usize, &F) -> Ran<S, U>;
    let job_type = JobType::of_code(in_parallel as *const ());
    if !runs_inline(scheduler, job_type, count) {
        return in_parallel(scheduler, job_type, source, count, job);
    }
    let (results, source, ran) = inline::run(scheduler, job_type, source, count, job);
    match source {
        Some(source) if ran < count => {
            let (more, source) = in_parallel(scheduler, job_type, source, count - ran, job);
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
pub(crate) fn run_indexed<U, F>(scheduler: &Arc<Scheduler>, len: usize, job: &F) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let mut results = Ok(Vec::new());
    let mut first = 0;
    while first < len {
        let count = (len - first).min(LONGEST);
        let part = run_indices(scheduler, first, count, job);
        results = if first == 0 { part } else { append(results, first, part) };
        first += count;
    }
    results
}

/// As [`run_promised`], with items that are there at once.
fn run_indices<U, F>(scheduler: &Arc<Scheduler>, first: usize, count: usize, job: &F) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let in_parallel = parallel::run_indexed::<U, F>
        as fn(&Arc<Scheduler>, JobType, usize, usize, &F) -> Results<U>;
    let job_type = JobType::of_code(in_parallel as *const ());
    if !runs_inline(scheduler, job_type, count) {
        return in_parallel(scheduler, job_type, first, count, job);
    }
    let (results, _, ran) = inline::run(scheduler, job_type, first..first + count, count, job);
    if ran == count {
        return results;
    }
    append(results, ran, in_parallel(scheduler, job_type, first + ran, count - ran, job))
}
