//! How the items of a batch come in: cell by cell, from its source to their places.
//!
//! Whoever has nothing to claim pulls the items of the next cell: one thread at a time, for which
//! nobody waits.
//!
//! | from | to | by |
//! |---|---|---|
//! | `READY` | `PULLING` | CAS of whoever pulls |
//! | `PULLING` | `READY` | the puller, after it filled a cell that was not the last |
//! | `PULLING` | `DONE` | the puller, after the last cell, or at the end of the source |

use std::any::Any;
use std::cell::Cell;
use std::iter::{Empty, empty};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use crate::cells::Cut;
use crate::in_place::{Places, Reached};
use crate::primitive::{AtomicU8, Mutex};

const READY: u8 = 0;
const PULLING: u8 = 1;
const DONE: u8 = 2;

pub(crate) struct Intake<S> {
    phase: AtomicU8,
    feed: Mutex<Feed<S>>,
}

/// What only the puller touches, and the caller in the end.
pub(crate) struct Feed<S> {
    pub(crate) source: S,
    cell: usize,
    /// How many items came.
    pub(crate) items: usize,
    pub(crate) end: End,
}

/// Why the source is asked no more.
pub(crate) enum End {
    /// It is asked for as many items as there are places.
    Full,
    /// It had fewer.
    Short,
    Panicked(Box<dyn Any + Send>),
}

/// The items of a cell that were pulled.
pub(crate) struct Pulled {
    pub(crate) cell: usize,
    pub(crate) items: Range<usize>,
    /// Whether cells are left that nobody will fill.
    pub(crate) short: bool,
}

impl<S: Iterator> Intake<S> {
    pub(crate) fn new(source: S) -> Intake<S> {
        let feed = Feed { source, cell: 0, items: 0, end: End::Full };
        Intake { phase: AtomicU8::new(READY), feed: Mutex::new(feed) }
    }

    /// Whether somebody could pull now.
    pub(crate) fn is_ready(&self) -> bool {
        // ORDERING: intake:look: Relaxed; ordered by the fences in `hub`.
        self.phase.load(Relaxed) == READY
    }

    /// `None` if somebody else is just pulling, or all was pulled.
    pub(crate) fn start_pulling(&self) -> Option<Right<'_, S>> {
        // ORDERING: intake:start: Relaxed; the feed's lock orders all that the puller reads.
        self.phase.compare_exchange(READY, PULLING, Relaxed, Relaxed).ok()?;
        Some(Right(self))
    }

    pub(crate) fn into_feed(self) -> Feed<S> {
        self.feed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake<Empty<()>> {
    /// So many items that are nothing but their index: all of them are there, and nobody pulls.
    pub(crate) fn of_nothing(items: usize) -> Intake<Empty<()>> {
        let feed = Feed { source: empty(), cell: 0, items, end: End::Full };
        Intake { phase: AtomicU8::new(DONE), feed: Mutex::new(feed) }
    }
}

/// The right to pull, which one thread has at a time.
pub(crate) struct Right<'a, S>(&'a Intake<S>);

impl<S: Iterator> Right<'_, S> {
    /// Puts the items of the next cell into their places.
    pub(crate) fn pull<U>(self, cut: Cut, places: &Places<S::Item, U>) -> Pulled {
        let Intake { phase, feed } = self.0;
        // The source runs under this lock, but is caught; a poisoned feed is whole.
        let mut feed = feed.lock().unwrap_or_else(PoisonError::into_inner);
        let pulled = feed.fill(cut, places);
        let done = pulled.short || feed.cell == cut.cells();
        drop(feed);
        // ORDERING: intake:filled: Relaxed, as `intake:start`.
        phase.store(if done { DONE } else { READY }, Relaxed);
        pulled
    }
}

impl<S: Iterator> Feed<S> {
    fn fill<U>(&mut self, cut: Cut, places: &Places<S::Item, U>) -> Pulled {
        let (cell, wanted) = (self.cell, cut.items_of(self.cell));
        let next = Cell::new(wanted.start);
        let source = &mut self.source;
        let filled = catch_unwind(AssertUnwindSafe(|| {
            let mut filled = Reached { index: wanted.start, last: &next };
            while filled.index < wanted.end {
                let Some(item) = source.next() else { return End::Short };
                // SAFETY: each cell is pulled once, and its indices are in no other.
                unsafe { places.put_item(filled.index, item) };
                filled.index += 1;
            }
            End::Full
        }));
        self.end = filled.unwrap_or_else(End::Panicked);
        self.cell += 1;
        self.items = next.get();
        Pulled { cell, items: wanted.start..next.get(), short: !matches!(self.end, End::Full) }
    }
}
