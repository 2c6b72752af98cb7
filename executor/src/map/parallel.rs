//! A batch that its caller and the workers share.
//!
//! ```text
//!  source ──pull_block──▶ output: items, in a work range ──claim, run──▶ output: results
//!                                 │                                       │
//!                                 └─steal_half─▶ other work ranges        ▼
//!  caller ◀── ring: one position per block ◀──────────── blocks: items left in each
//! ```
//!
//! The cheaper the items are, the more of them a thread claims at once. A result takes the place of
//! its item. The thread that finishes the last item of a block completes the block's position in
//! the ring, which wakes the caller.

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use reorder_ring::{Consumer, Lease, Ring, TryNextError};

use crate::cost::chunk_size;
use crate::io::{SourceEnd, never_blocks};
use crate::limits::{OuterJob, current_job};
use crate::map::blocks::{BlockLayout, Blocks, CompletionCounter};
use crate::map::integers::Integers;
use crate::map::output::{Output, Reached};
use crate::map::results::{Panicked, Ran, resume_source_panic};
use crate::map::source::{self, SharedSource, SourceState};
use crate::map::work_ranges::WorkRanges;
use crate::map::{Call, Job, Source};
use crate::primitive::{AtomicWaker, Mutex, into_inner, lock, now};
use crate::scheduler::{FairShare, Gate, Look, Progress, TimeSlice, Work, park, with_borrowed};
use crate::unwind::{DiscardEach, DiscardOnDrop};

/// The time that running the items of one claim should take. Claiming is cheap beside that.
const TARGET: Duration = Duration::from_micros(1);
/// The maximum number of items of one claim. A claim also has at most one item more than ran
/// cheaply before it in the same time slice. So no more items wait behind a slow one than that.
const MAX_CLAIM: u32 = 32;
/// The same for a source of the standard library that runs no user code, such as a range or a
/// vector. A claim costs more than the pull of such an item.
const MAX_CLAIM_OF_STD: u32 = 128;
/// The interval at which a thread reads the clock while its claims are the largest. A reading costs
/// as much as dozens of cheap items.
const CLOCK_INTERVAL: Duration = Duration::from_micros(2);
/// The maximum number of items between two readings of the clock.
const MAX_CLOCK_INTERVAL: u32 = 512;

/// Runs the job on up to `count` items of a source, from 1 to `u32::MAX`.
///
/// Returns the source if there is no ring for the batch: too many batches are open, or there is no
/// memory.
///
/// # Panics
///
/// If the source panics, or there is no memory for the results.
pub(super) fn run<S: Source, F: Job<S::Item>>(
    call: &Call<'_, F>,
    source: S,
    count: usize,
) -> Result<Ran<S, F::Value>, S> {
    let Ok(ring) = call.scheduler.rings.lease(BlockLayout::new(count).blocks()) else {
        return Err(source);
    };
    let source = DiscardOnDrop::new(source);
    let Some(integers) = Integers::of(&*source) else {
        let output = Output::new(count);
        let source = source::of_iterator(source.into_inner());
        return Ok(run_on(call, &ring, output, source, None));
    };
    let output = Output::of_results(count);
    let source = source::of_computed(source.into_inner(), count);
    let (results, mut rest, ran) = run_on(call, &ring, output, source, Some(integers));
    // The items were computed, and are still in the range.
    rest.as_mut().and_then(|rest| rest.nth(count - 1));
    Ok((results, rest, ran))
}

fn run_on<S: Source, F: Job<S::Item>>(
    call: &Call<'_, F>,
    ring: &Lease<()>,
    output: Output<S::Item, F::Value>,
    source: SharedSource<S>,
    integers: Option<Integers<S::Item>>,
) -> Ran<S, F::Value> {
    let scheduler = call.scheduler;
    let layout = BlockLayout::new(output.len());
    let (mut producer, consumer) = ring.open().expect("a leased ring is free").split();
    let tickets = producer.reserve_many(layout.blocks()).expect("the ring has this capacity");
    producer.finish();
    let most = if never_blocks::<S>() { MAX_CLAIM_OF_STD } else { MAX_CLAIM };
    let parallel = Parallel {
        call,
        output,
        source,
        integers,
        max_claim: call.max_claim(most),
        ranges: WorkRanges::new(scheduler.participants()),
        blocks: Blocks::new(layout, ring, tickets),
        panics: Mutex::default(),
        outer: current_job(),
        caller: AtomicWaker::new(),
    };
    parallel.prepare();
    let gate = call.share.limit.map(|limit| Gate::new(limit, &scheduler.idle));
    let slice = TimeSlice::own(scheduler, gate.as_deref());
    let fair_share = FairShare::new(gate.clone(), call.span.clone());
    with_borrowed(scheduler, &parallel, now(), fair_share, || {
        parallel.run_to_end(&slice, consumer);
    });
    drop(slice);
    parallel.into_results()
}

struct Parallel<'a, S: Source, F: Job<S::Item>> {
    call: &'a Call<'a, F>,
    output: Output<S::Item, F::Value>,
    source: SharedSource<S>,
    /// The items of a range, which are not in `output`.
    integers: Option<Integers<S::Item>>,
    max_claim: u32,
    ranges: WorkRanges,
    blocks: Blocks<'a>,
    panics: Mutex<Vec<Panicked>>,
    /// The job in which the caller waits. Calls that the items make in it, on any thread, ask it.
    outer: Option<OuterJob>,
    /// The waker of the caller while it waits.
    caller: AtomicWaker,
}

impl<S: Source, F: Job<S::Item>> Parallel<'_, S, F> {
    /// Gives the caller the items of a range, which are not pulled.
    fn prepare(&self) {
        if self.integers.is_some() {
            self.ranges.put(0, 0..self.blocks.layout.items as u32);
        }
    }

    /// Returns the results, after every block was delivered to the caller.
    fn into_results(self) -> Ran<S, F::Value> {
        let SourceState { source, items, end } = self.source.into_inner();
        let mut panics = into_inner(self.panics);
        panics.sort_unstable_by_key(|&(index, _)| index);
        let results = if panics.is_empty() {
            // SAFETY: every block was delivered. So every item that came was run, and its result
            // was written before it was counted. No visitor is left.
            Ok(DiscardEach(unsafe { self.output.into_vec(items) }))
        } else {
            let missing: Vec<usize> = panics.iter().map(|&(index, _)| index).collect();
            // SAFETY: as above, but for the items that panicked, which wrote nothing.
            unsafe { self.output.drop_except(items, &missing) };
            Err(DiscardEach(panics))
        };
        match end {
            None => (results, source, items),
            Some(SourceEnd::Exhausted) => {
                drop(source);
                (results, None, items)
            }
            Some(SourceEnd::Panicked(payload)) => resume_source_panic(results, source, payload),
        }
    }

    /// Does the caller's part: runs items until nothing is claimable, then waits for the items of
    /// other threads.
    fn run_to_end(&self, slice: &TimeSlice<'_>, mut consumer: Consumer<&Ring<()>>) {
        loop {
            if slice.enter() {
                self.work(slice, || false);
                slice.leave();
            }
            match consumer.try_next() {
                Ok(_) => {}
                Err(TryNextError::Pending) => {
                    let gate = slice.gate();
                    let has_work = || gate.is_none_or(Gate::is_open) && self.claimable();
                    let next =
                        park::wait_for_head(&mut consumer, &self.caller, gate, None, has_work);
                    if let Some(next) = next {
                        next.expect("the batch was finished");
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Claims items and runs them until there are none or `is_over`. Returns `false` if there were
    /// none.
    fn work(&self, slice: &TimeSlice<'_>, is_over: impl Fn() -> bool) -> bool {
        let mut worked = false;
        let (mut max_claim, mut clock_interval, mut unmeasured) = (1, 0, 0);
        let mut cheap_items = 0_u32;
        // The items that were measured, and the time that they took.
        let (mut measurements, mut items_measured, mut time) = (0, 0, Duration::ZERO);
        let mut counter = CompletionCounter::new(&self.blocks);
        let mut local = self.call.job.local(slice.participant);
        while let Some(items) = self.claim(slice, max_claim, worked, &mut counter) {
            worked = true;
            slice.note_running(items.start.into(), items.len() as u64);
            unmeasured += items.len() as u32;
            self.run_claimed(items.start as usize..items.end as usize, &mut local, &mut counter);
            if max_claim == self.max_claim && unmeasured < clock_interval {
                continue;
            }
            let took = slice.measure();
            max_claim = chunk_size(TARGET, unmeasured, took).min(self.max_claim);
            if max_claim > 1 {
                cheap_items = cheap_items.saturating_add(unmeasured);
                max_claim = max_claim.min(cheap_items + 1);
            }
            clock_interval = chunk_size(CLOCK_INTERVAL, unmeasured, took).min(MAX_CLOCK_INTERVAL);
            if measurements == 1 {
                // The first measurement began before the batch was published. It counts only if it
                // is the only one.
                (items_measured, time) = (0, Duration::ZERO);
            }
            measurements += 1;
            items_measured += unmeasured;
            time += took;
            unmeasured = 0;
            if is_over() {
                // Other threads can steal the rest of this thread's range. But the caller may have
                // gone to sleep while this thread was busy with it.
                self.caller.wake();
                break;
            }
        }
        if items_measured > 0 {
            slice.scheduler.costs.record(self.call.job_type, items_measured as usize, time);
        }
        worked
    }

    fn claim(
        &self,
        slice: &TimeSlice<'_>,
        max_claim: u32,
        worked: bool,
        counter: &mut CompletionCounter<'_>,
    ) -> Option<Range<u32>> {
        let mut is_new_range = !worked;
        loop {
            if !slice.may_run() {
                // Other threads steal the range.
                return None;
            }
            if let Some(items) = self.ranges.claim(slice.participant, max_claim) {
                if is_new_range {
                    slice.claimed(self);
                    if slice.participant != 0 && self.claimable() {
                        self.caller.wake();
                    }
                }
                return Some(items);
            }
            // Before the source is asked, which may block.
            counter.count();
            if !self.ranges.has_range(slice.participant) {
                return self.claim_without_range(slice, max_claim);
            }
            if !self.take_over(slice) && !self.pull(slice) {
                self.ranges.steal_half(slice.participant)?;
            }
            is_new_range = true;
        }
    }

    /// Takes the items of a blocked puller into this thread's range. Returns `false` if there are
    /// none.
    fn take_over(&self, slice: &TimeSlice<'_>) -> bool {
        let items = self.source.take_over(usize::MAX);
        items.map(|items| self.put(slice, items)).is_some()
    }

    /// Pulls the next block into this thread's range. Returns `false` if no item came.
    fn pull(&self, slice: &TimeSlice<'_>) -> bool {
        let items = self.pull_block(slice, usize::MAX);
        let came = items.map(|items| self.put(slice, items)).is_some();
        slice.reenter();
        came
    }

    fn put(&self, slice: &TimeSlice<'_>, items: Range<usize>) {
        self.ranges.put(slice.participant, items.start as u32..items.end as u32);
    }

    fn pull_block(&self, slice: &TimeSlice<'_>, most: usize) -> Option<Range<usize>> {
        let pull = self.source.try_start()?;
        let inside = slice.enter_source();
        slice.claimed(self);
        let (claimed, never) = pull.pull(self.blocks.layout, &self.output, most);
        drop(inside);
        self.blocks.count_all(never);
        claimed
    }

    /// Claims items of a blocked puller, or of a block that this thread pulls. A thread without a
    /// range leaves the others where any thread can take them over.
    fn claim_without_range(&self, slice: &TimeSlice<'_>, max_claim: u32) -> Option<Range<u32>> {
        let most = max_claim as usize;
        // With a limit, this thread could not leave its items to others after the pull.
        let pull = || slice.gate().is_none().then(|| self.pull_block(slice, most)).flatten();
        let items = self.source.take_over(most).or_else(pull)?;
        slice.claimed(self);
        if self.claimable() {
            self.caller.wake();
        }
        Some(items.start as u32..items.end as u32)
    }

    fn run_claimed(
        &self,
        items: Range<usize>,
        local: &mut F::Local<'_>,
        counter: &mut CompletionCounter<'_>,
    ) {
        counter.add(items.clone());
        let (next, job) = (Cell::new(items.start), self.call.job);
        while next.get() < items.end {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                let mut started = Reached { index: next.get(), last: &next };
                let mut run = |item| job.run(local, item);
                let (next, end) = (&mut started.index, items.end);
                match &self.integers {
                    // SAFETY: each index is claimed once, and is visited once by the thread that
                    // claimed it.
                    Some(integers) => unsafe {
                        self.output.run_indices(next, end, |index| run(integers.get(index)));
                    },
                    // SAFETY: as above, and each item is written before it can be claimed.
                    None => unsafe { self.output.run(next, end, run) },
                }
            }));
            if let Err(payload) = ran {
                lock(&self.panics).push((next.get() - 1, payload));
            }
        }
    }
}

impl<S: Source, F: Job<S::Item>> Work for Parallel<'_, S, F> {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let work = || self.work(slice, || slice.is_over());
        self.outer.as_ref().map_or_else(work, |outer| outer.run(work))
    }

    fn claimable(&self) -> bool {
        self.ranges.has_work() || self.source.is_open() || self.source.has_items()
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.blocks.progress(self.source.published()))
    }

    fn look_at_source(&self) -> Look {
        self.source.look()
    }

    fn notify(&self) {
        self.caller.wake();
    }
}
