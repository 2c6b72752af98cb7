//! A batch that its caller and the workers share, one result for each item, written in place.
//!
//! The items come in cell by cell (`intake`), threads share them as `shares` says, and claim the more
//! of them at once the cheaper they are (`pace`). Each result takes the place of its item; `cells`
//! counts them, and tells the caller.

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use reorder_ring::{Batch, Consumer, Ring, Tickets, TryNextError};

use crate::cost::{JobType, chunk_size};
use crate::io::SourceEnd;
use crate::map::blocks::{BlockLayout, Blocks, CompletionCounter};
use crate::map::output::{Output, Reached};
use crate::map::results::{Panicked, Ran, Results};
use crate::map::source::{self, PulledBlock, SharedSource};
use crate::map::work_ranges::WorkRanges;
use crate::observe::trace;
use crate::primitive::{AtomicWaker, Mutex, into_inner, lock};
use crate::scheduler::{Progress, Scheduler, TimeSlice, Work, park, with_borrowed};
use crate::unwind::discard;

/// How long it should take to run what was claimed at once: claiming is cheap beside that.
const TARGET: Duration = Duration::from_micros(1);
/// A slow item holds back so many neighbours, less one, if those before it were cheap.
const MOST_AT_ONCE: u32 = 32;
/// The same for items that are nothing but an index, beside which claiming is dear.
const MOST_INDICES_AT_ONCE: u32 = 128;
/// While claims of that many items are cheap, the clock is looked at so often only, for it costs as much as
/// dozens of them, ...
const CLOCK_INTERVAL: Duration = Duration::from_micros(2);
/// ... and at least after so many.
const LONGEST_CLOCK_INTERVAL: u32 = 512;

/// Runs `job` on up to `count` items, from 1 to `u32::MAX`.
///
/// # Panics
///
/// If the source panics, or memory is too short for the batch's ring or results.
pub(crate) fn run<S, U, F>(
    scheduler: &Arc<Scheduler>,
    job_type: JobType,
    source: S,
    count: usize,
    job: &F,
) -> Ran<S, U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(S::Item) -> U + Sync,
{
    let job = move |_, item| job(item);
    run_all(scheduler, job_type, source::of_iterator(source), MOST_AT_ONCE, count, &job)
}

/// Runs `job` on `count` indices, from 1 to `u32::MAX`, of which the first is `first`.
///
/// # Panics
///
/// If memory is too short for the batch's ring or results.
pub(crate) fn run_indexed<U, F>(
    scheduler: &Arc<Scheduler>,
    job_type: JobType,
    first: usize,
    count: usize,
    job: &F,
) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let job = move |index, ()| job(first + index);
    run_all(scheduler, job_type, source::of_indices(count), MOST_INDICES_AT_ONCE, count, &job).0
}

fn run_all<S, U, F>(
    scheduler: &Arc<Scheduler>,
    job_type: JobType,
    source: SharedSource<S>,
    most_at_once: u32,
    count: usize,
    job: &F,
) -> Ran<S, U>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(usize, S::Item) -> U + Sync,
{
    let layout = BlockLayout::new(count);
    let output = Output::new(count);
    let ring = scheduler.rings.lease(layout.blocks()).expect("memory for the tokens of a batch");
    let batch = ring.open().expect("a leased ring is free");
    let (tickets, consumer) = reserve_all(batch, layout.blocks());
    let parallel = Parallel {
        job,
        job_type,
        output,
        source,
        most_at_once,
        ranges: WorkRanges::new(scheduler.participants()),
        blocks: Blocks::new(layout, &ring, tickets),
        panics: Mutex::default(),
        caller: AtomicWaker::new(),
    };
    parallel.start();
    let _span = trace::batch(count);
    let slice = TimeSlice::own(scheduler);
    with_borrowed(scheduler, &parallel, slice.started(), || parallel.run_to_end(&slice, consumer));
    parallel.into_outcome()
}

/// What a thread timed, but for its first lap if there are others: that one began before the batch was
/// published.
#[derive(Default)]
struct Timed {
    count: u32,
    items: u32,
    took: Duration,
}

impl Timed {
    fn add(&mut self, items: u32, took: Duration) {
        let before = if self.count == 1 { (0, Duration::ZERO) } else { (self.items, self.took) };
        (self.items, self.took) = (before.0 + items, before.1 + took);
        self.count += 1;
    }
}

/// Reserves a position for each cell; the batch ends after them.
fn reserve_all(batch: Batch<&Ring<()>>, blocks: usize) -> (Tickets, Consumer<&Ring<()>>) {
    let (mut producer, consumer) = batch.split();
    let tickets = producer.reserve_many(blocks).expect("an empty ring of that capacity");
    producer.finish();
    (tickets, consumer)
}

struct Parallel<'a, S: Iterator, U, F> {
    job: &'a F,
    job_type: JobType,
    output: Output<S::Item, U>,
    source: SharedSource<S>,
    most_at_once: u32,
    ranges: WorkRanges,
    blocks: Blocks<'a>,
    panics: Mutex<Vec<Panicked>>,
    caller: AtomicWaker,
}

impl<S: Iterator, U, F> Parallel<'_, S, U, F> {
    /// To be called after every cell was delivered.
    fn into_outcome(self) -> Ran<S, U> {
        let state = self.source.into_inner();
        let (end, items) = (state.end, state.items);
        let mut panics = into_inner(self.panics);
        panics.sort_unstable_by_key(|&(index, _)| index);
        let missing: Vec<usize> = panics.iter().map(|&(index, _)| index).collect();
        let outcome = if let Some(SourceEnd::Panicked(payload)) = end {
            // SAFETY: as below.
            unsafe { self.output.drop_except(items, &missing) };
            panics.into_iter().for_each(|(_, payload)| discard(payload));
            discard(state.source);
            resume_unwind(payload)
        } else if panics.is_empty() {
            // SAFETY: every cell was delivered, so every item that came was run, and its result
            // put before it was counted; nobody visits any more.
            Ok(unsafe { self.output.into_vec(items) })
        } else {
            // SAFETY: as above, but for the items that panicked, which put nothing.
            unsafe { self.output.drop_except(items, &missing) };
            Err(panics)
        };
        (outcome, end.is_none().then_some(state.source))
    }
}

impl<S, U, F> Parallel<'_, S, U, F>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(usize, S::Item) -> U + Sync,
{
    /// Gives the caller's seat what needs no pull.
    fn start(&self) {
        if !self.source.is_open() {
            let layout = self.blocks.layout;
            (0..layout.blocks())
                .for_each(|block| self.blocks.set_expected(block, layout.items_of(block).len()));
            self.ranges.put(0, 0..layout.items() as u32);
        }
    }

    /// The caller's part: helps until nothing is claimable, then waits for the items of others.
    fn run_to_end(&self, slice: &TimeSlice<'_>, mut consumer: Consumer<&Ring<()>>) {
        loop {
            self.work(slice, || false);
            match consumer.try_next() {
                Ok(_) => {}
                Err(TryNextError::Pending) => {
                    let next =
                        park::wait_for_head(&mut consumer, &self.caller, None, || self.claimable());
                    if let Some(next) = next {
                        next.expect("the batch was finished");
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Claims and runs items until there are none or the turn is over. `false` if there were none.
    fn work(&self, slice: &TimeSlice<'_>, is_over: impl Fn() -> bool) -> bool {
        let mut worked = false;
        let (mut most, mut clock_interval, mut untimed) = (1, 0, 0);
        let mut timed = Timed::default();
        let mut counter = CompletionCounter::new(&self.blocks);
        while let Some(items) = self.claim(slice, most, worked, &mut counter) {
            worked = true;
            slice.note_running(items.start.into(), items.len() as u64);
            untimed += items.len() as u32;
            self.run_claimed(items.start as usize..items.end as usize, &mut counter);
            if most == self.most_at_once && untimed < clock_interval {
                continue;
            }
            let took = slice.measure();
            most = chunk_size(TARGET, untimed, took).min(self.most_at_once);
            clock_interval = chunk_size(CLOCK_INTERVAL, untimed, took).min(LONGEST_CLOCK_INTERVAL);
            timed.add(untimed, took);
            untimed = 0;
            if is_over() {
                // What is left in this seat's range is out of nobody's reach, but the caller may
                // have gone to sleep while it was in good hands.
                self.caller.wake();
                break;
            }
        }
        if timed.items > 0 {
            slice.scheduler.costs.record(self.job_type, timed.items as usize, timed.took);
        }
        worked
    }

    fn claim(
        &self,
        slice: &TimeSlice<'_>,
        most: u32,
        worked: bool,
        counter: &mut CompletionCounter<'_>,
    ) -> Option<Range<u32>> {
        let mut fresh = !worked;
        loop {
            if let Some(items) = self.ranges.claim(slice.participant, most) {
                if fresh {
                    slice.claimed(self);
                    if slice.participant != 0 && self.claimable() {
                        self.caller.wake();
                    }
                }
                return Some(items);
            }
            // Before the source is asked, which may take its time.
            counter.count();
            if !self.pull(slice) {
                self.ranges.steal_half(slice.participant)?;
            }
            fresh = true;
        }
    }

    /// Fills the seat's range with the items of the next cell. `false` if none came.
    fn pull(&self, slice: &TimeSlice<'_>) -> bool {
        let Some(puller) = self.source.try_start() else { return false };
        slice.claimed(self);
        slice.note_pulling();
        let layout = self.blocks.layout;
        let PulledBlock { block, items, is_last } =
            source::pull_block(puller, layout, &self.output);
        self.blocks.set_expected(block, items.len());
        if is_last {
            (block + 1..layout.blocks()).for_each(|block| self.blocks.set_expected(block, 0));
        }
        self.ranges.put(slice.participant, items.start as u32..items.end as u32);
        !items.is_empty()
    }

    fn run_claimed(&self, items: Range<usize>, counter: &mut CompletionCounter<'_>) {
        counter.add(items.clone());
        let next = Cell::new(items.start);
        while next.get() < items.end {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                let mut started = Reached { index: next.get(), last: &next };
                // SAFETY: each item is put before it can be claimed, is claimed once, and visited
                // once by its claimer.
                unsafe { self.output.run(&mut started.index, items.end, self.job) };
            }));
            if let Err(payload) = ran {
                lock(&self.panics).push((next.get() - 1, payload));
            }
        }
    }
}

impl<S, U, F> Work for Parallel<'_, S, U, F>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(usize, S::Item) -> U + Sync,
{
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        self.work(slice, || slice.is_over())
    }

    fn claimable(&self) -> bool {
        self.ranges.has_work() || self.source.is_open()
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.blocks.progress())
    }

    fn notify(&self) {
        self.caller.wake();
    }
}
