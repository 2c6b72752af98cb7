//! A batch, or the start of one, that its caller runs alone.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{mem, thread};

use crate::cost::{JOB_TYPES, JobType};
use crate::io::push_reserved;
use crate::map::results::{Panicked, Ran, from_parts, resume_source_panic};
use crate::map::{Call, Job};
use crate::primitive::{now, thread_local};
use crate::scheduler::{GRACE, Inside};
use crate::unwind::DiscardEach;

/// The number of items that run between two readings of the clock, after the first item.
const ITEMS_PER_READING: usize = 32;

/// The share of the batches of a job type that are measured to their end: one in this number. The
/// others spare the last reading of the clock, which costs as much as a dozen small items.
const MEASURED_ONE_IN: u8 = 8;

thread_local! {
    /// The number of batches of each job type that this thread has run to their ends.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static BATCHES: [Cell<u8>; JOB_TYPES] = std::array::from_fn(|_| Cell::new(0));
}

fn is_measured_to_its_end(job_type: JobType) -> bool {
    let next = |batches: &[Cell<u8>; JOB_TYPES]| {
        let batches = &batches[job_type.place().0];
        batches.replace((batches.get() + 1) % MEASURED_ONE_IN)
    };
    BATCHES.try_with(next).is_ok_and(|batches| batches == 0)
}

/// Runs up to `count` items, at least 1, until [`GRACE`] has passed.
///
/// The clock is read after the first item, and then every [`ITEMS_PER_READING`] items.
///
/// # Panics
///
/// If the source panics.
pub(super) fn run<S: Iterator, F: Job<S::Item>>(
    call: &Call<'_, F>,
    source: S,
    count: usize,
) -> Ran<S, F::Value> {
    let _inside = Inside::enter(call.scheduler);
    let (values, panics) = (DiscardEach(Vec::with_capacity(count)), DiscardEach(Vec::new()));
    let local = call.job.local(0);
    let mut inline = Inline { call, source, local, values, panics };
    let ended = inline.run(count);
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
    fn run(&mut self, count: usize) -> thread::Result<bool> {
        if count == 1 {
            // There is nothing to share, and nothing to learn.
            return self.run_some(1);
        }
        let started = now();
        let mut ended = self.run_some(1)?;
        let mut is_cheap = true;
        while !ended && self.ran() < count && is_cheap {
            is_cheap = now().duration_since(started) < GRACE;
            if is_cheap {
                ended = self.run_some(ITEMS_PER_READING.min(count - self.ran()))?;
            }
        }
        let Call { scheduler, job_type, .. } = *self.call;
        if self.ran() > 0 && (!is_cheap || is_measured_to_its_end(job_type)) {
            scheduler.costs.record(job_type, self.ran(), now().duration_since(started));
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
    use crate::map::results::values;
    use crate::scheduler::Scheduler;

    fn run_on<S: Iterator, F: Job<S::Item>>(source: S, count: usize, job: F) -> Ran<S, F::Value> {
        let scheduler = Arc::new(Scheduler::new(Vec::new(), false));
        let job_type = JobType::of_code(std::ptr::null());
        run(&Call { scheduler: &scheduler, job_type, job: &job }, source, count)
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
    fn at_most_one_reading_interval_runs_after_the_first_item() {
        let slow_later = |item| {
            if item > 0 {
                thread::sleep(2 * GRACE);
            }
        };
        let (_, _, ran) = run_on(0..100, 100, slow_later);
        // If this thread was preempted after the first item, that was the last.
        assert!(ran == 1 || ran == 1 + ITEMS_PER_READING, "{ran}");
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
