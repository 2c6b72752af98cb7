//! A batch, or the start of one, that its caller runs alone.

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::cost::{JOB_TYPES, JobType};
use crate::io::push_reserved;
use crate::map::results::{Panicked, Results, from_parts};
use crate::primitive::{now, thread_local};
use crate::scheduler::{GRACE, Inside, Scheduler};
use crate::unwind::discard;

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
/// The clock is read after the first item, and then every [`ITEMS_PER_READING`] items. Returns the
/// results, the source unless it has ended, and the number of items that ran.
///
/// # Panics
///
/// If the source panics.
pub(crate) fn run<S, U, F>(
    scheduler: &Scheduler,
    job_type: JobType,
    source: S,
    count: usize,
    job: &F,
) -> (Results<U>, Option<S>, usize)
where
    S: Iterator,
    F: Fn(S::Item) -> U,
{
    let _inside = Inside::enter(scheduler);
    let mut inline = Inline { source, job, values: Vec::with_capacity(count), panics: Vec::new() };
    let ended = inline.run(scheduler, job_type, count);
    let ran = inline.ran();
    let Inline { source, values, panics, .. } = inline;
    match ended {
        Ok(ended) => (from_parts(values, panics), (!ended).then_some(source), ran),
        Err(payload) => {
            // A value that is dropped while a panic unwinds must not panic itself.
            discard(source);
            values.into_iter().for_each(discard);
            panics.into_iter().for_each(|(_, payload)| discard(payload));
            resume_unwind(payload)
        }
    }
}

type Payload = Box<dyn Any + Send>;

struct Inline<'a, S, U, F> {
    source: S,
    job: &'a F,
    values: Vec<U>,
    panics: Vec<Panicked>,
}

/// Sets its flag if it is dropped, which a panic of the job does.
struct InJob<'a>(&'a Cell<bool>);

impl Drop for InJob<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl<S: Iterator, U, F: Fn(S::Item) -> U> Inline<'_, S, U, F> {
    /// Returns the number of items that have run.
    fn ran(&self) -> usize {
        self.values.len() + self.panics.len()
    }

    /// Returns `true` if the source has ended, or its panic.
    fn run(
        &mut self,
        scheduler: &Scheduler,
        job_type: JobType,
        count: usize,
    ) -> Result<bool, Payload> {
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
        if self.ran() > 0 && (!is_cheap || is_measured_to_its_end(job_type)) {
            scheduler.costs.record(job_type, self.ran(), now().duration_since(started));
        }
        Ok(ended)
    }

    /// Runs `items` more items. Returns `true` if the source had fewer.
    ///
    /// One `catch_unwind` covers the pull and the job of all of them. The flag `in_job` tells a
    /// panic of the job from one of the source.
    fn run_some(&mut self, items: usize) -> Result<bool, Payload> {
        let end = self.ran() + items;
        let in_job = Cell::new(false);
        loop {
            let left = end - self.ran();
            let Inline { source, job, values, .. } = self;
            let run_next = || {
                let item = source.next()?;
                let running = InJob(&in_job);
                let value = job(item);
                mem::forget(running);
                Some(value)
            };
            match catch_unwind(AssertUnwindSafe(|| push_reserved(values, left, run_next))) {
                Err(payload) if in_job.replace(false) => self.panics.push((self.ran(), payload)),
                ended => return ended,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn run_on<S: Iterator, U>(
        source: S,
        count: usize,
        job: impl Fn(S::Item) -> U,
    ) -> (Results<U>, Option<S>, usize) {
        run(
            &Scheduler::new(Vec::new(), false),
            JobType::of_code(std::ptr::null()),
            source,
            count,
            &job,
        )
    }

    #[test]
    fn a_slow_item_ends_the_inline_part() {
        let slow = |item| {
            thread::sleep(2 * GRACE);
            item
        };
        let (results, rest, ran) = run_on(0..100, 100, slow);
        assert_eq!((results.unwrap(), rest, ran), (vec![0], Some(1..100), 1));
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
        let panics = results.map_or_else(|panics| panics, |_| Vec::new());
        let panicked: Vec<usize> = panics.iter().map(|&(index, _)| index).collect();
        // If this thread was preempted after the first item, that was the last.
        let expected: Vec<usize> = [1, 5].into_iter().filter(|&index| index < ran).collect();
        assert_eq!((panicked, rest, Arc::strong_count(&alive)), (expected, Some(ran..7), 1));
    }

    #[test]
    fn a_source_with_fewer_items_ends() {
        let (results, rest, ran) = run_on(0..1, 2, |item| item);
        assert_eq!((results.unwrap(), ran), (vec![0], 1));
        // It is not asked for a second item if the first took too long.
        assert!(rest.is_none_or(|rest| rest.is_empty()));
    }
}
