//! A batch, or the start of one, that its caller runs alone.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use std::{mem, thread};

use crate::io::push_reserved;
use crate::map::results::{Panicked, Ran, from_parts, resume_source_panic};
use crate::map::{Call, Job};
use crate::memory;
use crate::primitive::{Stopwatch, whole_nanos};
use crate::scheduler::Inside;
use crate::unwind::{DiscardEach, DiscardOnDrop};

/// The maximum number of items that run between two readings of the clock.
const MAX_LOT: usize = 32;

/// Runs up to `count` items, at least 1, until `limit` has passed.
///
/// The clock is read after each lot of items. A lot has one item more than ran cheaply before it,
/// and at most [`MAX_LOT`]. So no more items wait behind an expensive one than ran cheaply before.
///
/// # Panics
///
/// If the source panics.
pub(super) fn run<S: Iterator, F: Job<S::Item>>(
    call: &Call<'_, F>,
    source: S,
    count: usize,
    limit: Duration,
) -> Ran<S, F::Value> {
    let _inside = Inside::enter(call.scheduler);
    let source = DiscardOnDrop::new(source);
    let values = DiscardEach(memory::with_capacity(count));
    let (source, panics) = (source.into_inner(), DiscardEach(Vec::new()));
    let local = call.job.local(0);
    let mut inline = Inline { call, source, local, values, panics };
    let ended = inline.run(count, limit);
    let ran = inline.ran();
    let Inline { source, values, panics, .. } = inline;
    let results = from_parts(values, panics);
    match ended {
        Ok(ended) => (results, (!ended).then_some(source), ran),
        Err(payload) => resume_source_panic(results, source, payload),
    }
}

struct Inline<'a, S: Iterator, F: Job<S::Item>> {
    call: &'a Call<'a, F>,
    source: S,
    local: F::Local<'a>,
    values: DiscardEach<F::Value>,
    panics: DiscardEach<Panicked>,
}

/// Sets its flag if it is dropped, which a panic of the job does.
struct InJob<'a>(&'a Cell<bool>);

impl Drop for InJob<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl<S: Iterator, F: Job<S::Item>> Inline<'_, S, F> {
    /// Returns the number of items that have run.
    fn ran(&self) -> usize {
        self.values.0.len() + self.panics.0.len()
    }

    /// Returns `true` if the source has ended, or its panic.
    fn run(&mut self, count: usize, limit: Duration) -> thread::Result<bool> {
        if count == 1 {
            // There is nothing to share, and nothing to learn.
            return self.run_some(1);
        }
        let stopwatch = Stopwatch::start();
        let (mut ended, mut took, limit) = (false, 0, whole_nanos(limit));
        while !ended && self.ran() < count && took < limit {
            let left = count - self.ran();
            let lot = (self.ran() + 1).min(MAX_LOT).min(left);
            ended = self.run_some(lot)?;
            if !ended && left == lot + 1 {
                // The last item alone is not worth sharing.
                ended = self.run_some(1)?;
            }
            took = stopwatch.nanos();
        }
        let Call { scheduler, job_type, .. } = *self.call;
        if self.ran() > 0 {
            scheduler.costs.record(job_type, self.ran(), Duration::from_nanos(took));
        }
        Ok(ended)
    }

    /// Runs `items` more items. Returns `true` if the source had fewer.
    ///
    /// One `catch_unwind` covers the pull and the job of all of them. The flag `in_job` tells a
    /// panic of the job from one of the source.
    fn run_some(&mut self, items: usize) -> thread::Result<bool> {
        let end = self.ran() + items;
        let in_job = Cell::new(false);
        loop {
            let left = end - self.ran();
            let Inline { call, source, local, values, .. } = self;
            let job = call.job;
            let run_next = || {
                let item = source.next()?;
                let running = InJob(&in_job);
                let value = job.run(local, item);
                mem::forget(running);
                Some(value)
            };
            match catch_unwind(AssertUnwindSafe(|| push_reserved(&mut values.0, left, run_next))) {
                Err(payload) if in_job.replace(false) => self.panics.0.push((self.ran(), payload)),
                ended => return ended,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cost::JobType;
    use crate::map::results::values;
    use crate::scheduler::{GRACE, Scheduler, ThreadSettings};

    fn run_on<S: Iterator, F: Job<S::Item>>(source: S, count: usize, job: F) -> Ran<S, F::Value> {
        let scheduler = Scheduler::new(ThreadSettings::default(), false);
        let job_type = JobType::of_code(std::ptr::null());
        let call = Call {
            scheduler: &scheduler,
            job_type,
            job: &job,
            share: crate::map::Share::default(),
            span: &crate::observe::CallSpan::default(),
        };
        run(&call, source, count, GRACE)
    }

    #[test]
    fn a_slow_item_ends_the_inline_part() {
        let slow = |item| {
            thread::sleep(2 * GRACE);
            item
        };
        let (results, rest, ran) = run_on(0..100, 100, slow);
        assert_eq!((values(results), rest, ran), (vec![0], Some(1..100), 1));
    }

    #[test]
    fn no_more_items_wait_behind_a_slow_one_than_ran_before_it() {
        for slow in 0..99 {
            let job = |item| {
                if item == slow {
                    thread::sleep(2 * GRACE);
                }
            };
            let (_, _, ran) = run_on(0..100, 100, job);
            // If this thread was preempted before, the slow item has not run.
            let behind = ran.saturating_sub(slow + 1);
            assert!(behind <= slow.min(MAX_LOT - 1), "{ran} items, {slow} cheap ones");
        }
    }

    #[test]
    fn items_run_after_a_panic_and_their_values_are_dropped() {
        let alive = Arc::new(());
        let job = |item| {
            assert!(item % 4 != 1);
            Arc::clone(&alive)
        };
        let (results, rest, ran) = run_on(0..7, 7, job);
        let panics = results.map_or_else(DiscardEach::into_vec, |_| Vec::new());
        let panicked: Vec<usize> = panics.iter().map(|&(index, _)| index).collect();
        // If this thread was preempted after the first item, that was the last.
        let expected: Vec<usize> = [1, 5].into_iter().filter(|&index| index < ran).collect();
        assert_eq!((panicked, rest, Arc::strong_count(&alive)), (expected, Some(ran..7), 1));
    }

    #[test]
    fn a_source_with_fewer_items_ends() {
        let (results, rest, ran) = run_on(0..1, 2, |item| item);
        assert_eq!((values(results), ran), (vec![0], 1));
        // It is not asked for a second item if the first took too long.
        assert!(rest.is_none_or(|rest| rest.is_empty()));
    }
}
