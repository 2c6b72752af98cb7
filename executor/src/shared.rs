//! A batch that its caller and the workers share, one result for each item, written in place.
//!
//! The items come in cell by cell (`intake`), threads share them as `shares` says, and claim the more
//! of them at once the cheaper they are (`pace`). Each result takes the place of its item; `cells`
//! counts them, and tells the caller.

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reorder_ring::{Batch, Consumer, Ring, Tickets, TryNextError};

use crate::cells::{Cells, Cut, Tally, Token};
use crate::failure::discard;
use crate::history::Kind;
use crate::hub::Hub;
use crate::in_place::{Places, Reached};
use crate::intake::{End, Intake, Pulled};
use crate::lend::lend;
use crate::pace::paced;
use crate::park;
use crate::plain::{Panicked, Ran, Results};
use crate::primitive::{AtomicWaker, Mutex};
use crate::shares::Shares;
use crate::snapshot::Progress;
use crate::trace;
use crate::turn::Turn;
use crate::work::Work;

/// How long it should take to run what was claimed at once: claiming is cheap beside that.
const TARGET: Duration = Duration::from_micros(1);
/// A slow item holds back so many neighbours, less one, if those before it were cheap.
const MOST_AT_ONCE: u32 = 32;
/// The same for items that are nothing but an index, beside which claiming is dear.
const MOST_INDICES_AT_ONCE: u32 = 128;
/// While claims of that many items are cheap, the clock is looked at so often only, for it costs as much as
/// dozens of them, ...
const STRETCH: Duration = Duration::from_micros(2);
/// ... and at least after so many.
const LONGEST_STRETCH: u32 = 512;

/// Runs `job` on up to `count` items, from 1 to `u32::MAX`.
///
/// # Panics
///
/// If the source panics, or memory is too short for the batch's ring or results.
pub(crate) fn run<S, U, F>(
    hub: &Arc<Hub>,
    kind: Kind,
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
    run_all(hub, kind, Intake::new(source), MOST_AT_ONCE, count, &job)
}

/// Runs `job` on `count` indices, from 1 to `u32::MAX`, of which the first is `first`.
///
/// # Panics
///
/// If memory is too short for the batch's ring or results.
pub(crate) fn run_indexed<U, F>(
    hub: &Arc<Hub>,
    kind: Kind,
    first: usize,
    count: usize,
    job: &F,
) -> Results<U>
where
    U: Send,
    F: Fn(usize) -> U + Sync,
{
    let job = move |index, ()| job(first + index);
    run_all(hub, kind, Intake::of_nothing(count), MOST_INDICES_AT_ONCE, count, &job).0
}

fn run_all<S, U, F>(
    hub: &Arc<Hub>,
    kind: Kind,
    intake: Intake<S>,
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
    let cut = Cut::new(count);
    let places = Places::new(count);
    let ring = hub.tokens.lease(cut.cells()).expect("memory for the tokens of a batch");
    let batch = ring.open().expect("a leased ring is free");
    let (tickets, consumer) = whole_batch(batch, cut.cells());
    let shared = Shared {
        job,
        kind,
        places,
        intake,
        most_at_once,
        shares: Shares::new(hub.takers()),
        cells: Cells::new(cut, &ring, tickets),
        panics: Mutex::default(),
        caller: AtomicWaker::new(),
    };
    shared.start();
    let _span = trace::batch(count);
    let turn = Turn::own(hub);
    lend(hub, &shared, turn.started(), || shared.see_through(&turn, consumer));
    shared.into_outcome()
}

/// What a thread timed, but for its first lap if there are others: that one began before the batch was
/// published.
#[derive(Default)]
struct Laps {
    count: u32,
    items: u32,
    took: Duration,
}

impl Laps {
    fn add(&mut self, items: u32, took: Duration) {
        let before = if self.count == 1 { (0, Duration::ZERO) } else { (self.items, self.took) };
        (self.items, self.took) = (before.0 + items, before.1 + took);
        self.count += 1;
    }
}

/// Reserves a position for each cell; the batch ends after them.
fn whole_batch(batch: Batch<&Ring<Token>>, cells: usize) -> (Tickets, Consumer<&Ring<Token>>) {
    let (mut producer, consumer) = batch.split();
    let tickets = producer.reserve_many(cells).expect("an empty ring of that capacity");
    producer.finish();
    (tickets, consumer)
}

struct Shared<'a, S: Iterator, U, F> {
    job: &'a F,
    kind: Kind,
    places: Places<S::Item, U>,
    intake: Intake<S>,
    most_at_once: u32,
    shares: Shares,
    cells: Cells<'a>,
    panics: Mutex<Vec<Panicked>>,
    caller: AtomicWaker,
}

impl<S: Iterator, U, F> Shared<'_, S, U, F> {
    /// To be called after every cell was delivered.
    fn into_outcome(self) -> Ran<S, U> {
        let feed = self.intake.into_feed();
        let (end, items) = (feed.end, feed.items);
        let mut panics = self.panics.into_inner().unwrap_or_else(PoisonError::into_inner);
        panics.sort_unstable_by_key(|&(index, _)| index);
        let missing: Vec<usize> = panics.iter().map(|&(index, _)| index).collect();
        let outcome = if let End::Panicked(payload) = end {
            // SAFETY: as below.
            unsafe { self.places.drop_except(items, &missing) };
            panics.into_iter().for_each(|(_, payload)| discard(payload));
            discard(feed.source);
            resume_unwind(payload)
        } else if panics.is_empty() {
            // SAFETY: every cell was delivered, so every item that came was run, and its result
            // put before it was counted; nobody visits any more.
            Ok(unsafe { self.places.into_vec(items) })
        } else {
            // SAFETY: as above, but for the items that panicked, which put nothing.
            unsafe { self.places.drop_except(items, &missing) };
            Err(panics)
        };
        (outcome, matches!(end, End::Full).then_some(feed.source))
    }
}

impl<S, U, F> Shared<'_, S, U, F>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(usize, S::Item) -> U + Sync,
{
    /// Gives the caller's seat what needs no pull.
    fn start(&self) {
        if !self.intake.is_ready() {
            let cut = self.cells.cut;
            (0..cut.cells()).for_each(|cell| self.cells.expect(cell, cut.items_of(cell).len()));
            self.shares.put(0, 0..cut.items() as u32);
        }
    }

    /// The caller's part: helps until nothing is claimable, then waits for the items of others.
    fn see_through(&self, turn: &Turn<'_>, mut consumer: Consumer<&Ring<Token>>) {
        loop {
            self.work(turn, || false);
            match consumer.try_next() {
                Ok(_) => {}
                Err(TryNextError::Pending) => {
                    let next =
                        park::until_settled(&mut consumer, &self.caller, None, || self.claimable());
                    if let Some(next) = next {
                        next.expect("the batch was finished");
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Claims and runs items until there are none or the turn is over. `false` if there were none.
    fn work(&self, turn: &Turn<'_>, is_over: impl Fn() -> bool) -> bool {
        let mut worked = false;
        let (mut most, mut stretch, mut untimed) = (1, 0, 0);
        let mut laps = Laps::default();
        let mut tally = Tally::new(&self.cells);
        while let Some(items) = self.claim(turn, most, worked, &mut tally) {
            worked = true;
            turn.begins(items.start.into(), items.len() as u64);
            untimed += items.len() as u32;
            self.run_claimed(items.start as usize..items.end as usize, &mut tally);
            if most == self.most_at_once && untimed < stretch {
                continue;
            }
            let lap = turn.lap();
            most = paced(TARGET, untimed, lap).min(self.most_at_once);
            stretch = paced(STRETCH, untimed, lap).min(LONGEST_STRETCH);
            laps.add(untimed, lap);
            untimed = 0;
            if is_over() {
                // What is left in this seat's range is out of nobody's reach, but the caller may
                // have gone to sleep while it was in good hands.
                self.caller.wake();
                break;
            }
        }
        if laps.items > 0 {
            turn.hub.history.note(self.kind, laps.items as usize, laps.took);
        }
        worked
    }

    fn claim(
        &self,
        turn: &Turn<'_>,
        most: u32,
        worked: bool,
        tally: &mut Tally<'_>,
    ) -> Option<Range<u32>> {
        let mut fresh = !worked;
        loop {
            if let Some(items) = self.shares.claim(turn.seat, most) {
                if fresh {
                    turn.claimed(self);
                    if turn.seat != 0 && self.claimable() {
                        self.caller.wake();
                    }
                }
                return Some(items);
            }
            // Before the source is asked, which may take its time.
            tally.count();
            if !self.pull(turn) {
                self.shares.take_over(turn.seat)?;
            }
            fresh = true;
        }
    }

    /// Fills the seat's range with the items of the next cell. `false` if none came.
    fn pull(&self, turn: &Turn<'_>) -> bool {
        let Some(right) = self.intake.start_pulling() else { return false };
        turn.claimed(self);
        turn.begins(0, 0);
        let cut = self.cells.cut;
        let Pulled { cell, items, short } = right.pull(cut, &self.places);
        self.cells.expect(cell, items.len());
        if short {
            (cell + 1..cut.cells()).for_each(|cell| self.cells.expect(cell, 0));
        }
        self.shares.put(turn.seat, items.start as u32..items.end as u32);
        !items.is_empty()
    }

    fn run_claimed(&self, items: Range<usize>, tally: &mut Tally<'_>) {
        tally.add(items.clone());
        let next = Cell::new(items.start);
        while next.get() < items.end {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                let mut started = Reached { index: next.get(), last: &next };
                // SAFETY: each item is put before it can be claimed, is claimed once, and visited
                // once by its claimer.
                unsafe { self.places.run(&mut started.index, items.end, self.job) };
            }));
            if let Err(payload) = ran {
                let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
                panics.push((next.get() - 1, payload));
            }
        }
    }
}

impl<S, U, F> Work for Shared<'_, S, U, F>
where
    S: Iterator + Send,
    S::Item: Send,
    U: Send,
    F: Fn(usize, S::Item) -> U + Sync,
{
    fn turn(&self, turn: &Turn<'_>) -> bool {
        self.work(turn, || turn.is_over())
    }

    fn claimable(&self) -> bool {
        self.shares.any() || self.intake.is_ready()
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.cells.progress())
    }

    fn nudge(&self) {
        self.caller.wake();
    }
}
