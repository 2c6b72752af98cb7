//! Decides how a batch runs: by its caller alone, or shared with the workers.
//!
//! A batch begins inline if its type of job is known to be cheap. It goes on in parallel as soon as
//! it takes longer than [`GRACE`].

use std::sync::Arc;
use std::time::Duration;
use std::{iter, mem};

use crate::cost::JobType;
use crate::io::{Items, collect};
use crate::map::results::{Results, append};
use crate::map::{Call, Job, Share, Source, inline, parallel};
use crate::observe::CallSpan;
use crate::scheduler::{GRACE, Scheduler};
use crate::unwind::{DiscardEach, DiscardOnDrop};

/// The maximum number of items in a part of a batch. Indices of a part have 32 bits.
const MAX_PART: usize = u32::MAX as usize;

/// Runs `job` on every item, on the threads of the caller and the workers.
///
/// # Panics
///
/// If the source panics, or there is no memory for the results.
pub(super) fn run<S: Source, F: Job<S::Item>>(
    scheduler: &Arc<Scheduler>,
    source: S,
    job: &F,
    share: Share<'_>,
) -> Results<F::Value> {
    let source = DiscardOnDrop::new(source);
    match source.size_hint() {
        (lower, Some(upper)) if lower == upper => {
            let span = CallSpan::batch(lower);
            run_known(scheduler, source.into_inner(), lower, job, share, &span)
        }
        _ => {
            let items = collect(source.into_inner());
            let span = CallSpan::batch(items.0.len());
            run_collected(scheduler, items, job, share, &span)
        }
    }
}

/// Runs the items of a source that does not say exactly how many it has.
fn run_collected<I: Send, F: Job<I>>(
    scheduler: &Arc<Scheduler>,
    items: DiscardEach<I>,
    job: &F,
    share: Share<'_>,
    span: &CallSpan,
) -> Results<F::Value> {
    let count = items.0.len();
    run_known(scheduler, Items::new(items), count, job, share, span)
}

/// Runs the first `count` items, and then the items that the source has beyond its promise.
fn run_known<S: Source, F: Job<S::Item>>(
    scheduler: &Arc<Scheduler>,
    source: S,
    count: usize,
    job: &F,
    share: Share<'_>,
    span: &CallSpan,
) -> Results<F::Value> {
    let job_type = JobType::of_code(parallel::run::<S, F> as *const ());
    let call = Call { scheduler, job_type, job, share, span };
    let (results, source) = {
        let _entered = span.enter();
        run_parts(&call, source, count)
    };
    let Some(source) = source else { return results };
    let mut source = DiscardOnDrop::new(source);
    let next = source.next();
    let source = source.into_inner();
    let Some(item) = next else {
        drop(source);
        return results;
    };
    let rest = collect(iter::once(item).chain(source));
    append(results, count, run_collected(scheduler, rest, job, share, span))
}

/// Runs up to `count` items: inline as long as they are cheap, and then in parallel.
#[inline]
fn run_parts<S: Source, F: Job<S::Item>>(
    call: &Call<'_, F>,
    source: S,
    count: usize,
) -> (Results<F::Value>, Option<S>) {
    let expected = || call.scheduler.costs.expect(call.job_type, count);
    let is_expected_cheap = || expected().is_some_and(|expected| expected < GRACE);
    let mut is_cheap = count == 1 || !call.share.is_concurrent && is_expected_cheap();
    let (mut results, mut source, mut ran) = (Ok(DiscardEach(Vec::new())), Some(source), 0);
    while let Some(rest) = source.take_if(|_| ran < count) {
        let part = (count - ran).min(MAX_PART);
        let (more, rest, ran_now) = match mem::take(&mut is_cheap) {
            true => inline::run(call, rest, part, GRACE),
            // Without a ring, the caller runs the items alone.
            false => parallel::run(call, rest, part)
                .unwrap_or_else(|rest| inline::run(call, rest, part, Duration::MAX)),
        };
        results = append(results, ran, more);
        source = rest;
        ran += ran_now;
    }
    (results, source)
}

#[cfg(test)]
mod tests {
    use crate::executor::Executor;

    #[test]
    #[cfg_attr(miri, ignore = "tens of thousands of rings take too long")]
    fn a_caller_runs_alone_if_there_is_no_ring() {
        let executor = Executor::builder().workers(1).build().unwrap();
        let mut leases: Vec<_> = Vec::new();
        while let Ok(lease) = executor.scheduler.rings.lease(1) {
            leases.push(lease);
        }
        assert!(executor.map(0..1000, |n| n).into_iter().eq(0..1000));
        assert!(executor.map_indexed(1000, |n| n).into_iter().eq(0..1000));
        drop(leases);
        assert_eq!(executor.map(0..1000, |n| n).len(), 1000);
    }
}
