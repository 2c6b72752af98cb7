//! Decides how a batch runs: by its caller alone, or shared with the workers.
//!
//! A batch begins inline if its type of job is known to be cheap. It goes on in parallel as soon as
//! it takes longer than [`GRACE`].

use std::ops::Range;
use std::sync::Arc;

use crate::cost::JobType;
use crate::map::results::{Ran, Results, append};
use crate::map::{Source, inline, parallel};
use crate::scheduler::{GRACE, Scheduler};

/// The maximum number of items in a part of a batch. Indices of a part have 32 bits.
const MAX_PART: usize = u32::MAX as usize;

/// Runs `job` on every item, on the threads of the caller and the workers.
///
/// # Panics
///
/// If the source panics, or there is no memory for the batch's ring or results.
pub(crate) fn run<S, U, F>(scheduler: &Arc<Scheduler>, source: S, job: &F) -> Results<U>
where
    S: Source,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    match source.size_hint() {
        (least, Some(most)) if least == most => run_known(scheduler, source, least, job),
        _ => run_collected(scheduler, source, job),
    }
}

/// Runs the items of a source that does not say exactly how many it has.
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
    let count = items.len();
    run_known(scheduler, items.into_iter(), count, job)
}

/// Runs the first `count` items, and then the items that the source has beyond its promise.
fn run_known<S, U, F>(scheduler: &Arc<Scheduler>, source: S, count: usize, job: &F) -> Results<U>
where
    S: Source,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    let count = count.min(MAX_PART);
    let in_parallel =
        |job_type, source, count| parallel::run_iterator(scheduler, job_type, source, count, job);
    let job_type = JobType::of_code(parallel::run_iterator::<S, U, F> as *const ());
    let (results, source) = match count {
        0 => (Ok(Vec::new()), Some(source)),
        _ => run_part(scheduler, job_type, source, count, job, in_parallel),
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

/// Runs `job` on the indices from 0 to `len`.
///
/// # Panics
///
/// If there is no memory for the batch's ring or results.
pub(crate) fn run_indexed<U, F>(scheduler: &Arc<Scheduler>, len: usize, job: &F) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let in_parallel = |job_type, indices: Range<usize>, _| {
        (parallel::run_indices(scheduler, job_type, indices, job), None)
    };
    let job_type = JobType::of_code(parallel::run_indices::<U, F> as *const ());
    let mut results = Ok(Vec::new());
    let mut first = 0;
    while first < len {
        let count = (len - first).min(MAX_PART);
        let part = first..first + count;
        let (more, _) = run_part(scheduler, job_type, part, count, job, in_parallel);
        results = if first == 0 { more } else { append(results, first, more) };
        first += count;
    }
    results
}

/// Runs up to `count` items, at least 1: inline as long as they are cheap, and then in parallel.
fn run_part<S: Iterator, U>(
    scheduler: &Scheduler,
    job_type: JobType,
    source: S,
    count: usize,
    job: &impl Fn(S::Item) -> U,
    in_parallel: impl FnOnce(JobType, S, usize) -> Ran<S, U>,
) -> Ran<S, U> {
    let expected = || scheduler.costs.expect(job_type, count);
    if count > 1 && expected().is_none_or(|expected| expected >= GRACE) {
        return in_parallel(job_type, source, count);
    }
    let (results, source, ran) = inline::run(scheduler, job_type, source, count, job);
    match source {
        Some(source) if ran < count => {
            let (more, source) = in_parallel(job_type, source, count - ran);
            (append(results, ran, more), source)
        }
        source => (results, source),
    }
}
