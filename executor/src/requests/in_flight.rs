//! An attempt in flight: it was dispatched, and its result has not come back to its batch.

use std::any::Any;
use std::sync::Arc;
use std::thread;

use crate::io::OutputTicket;
use crate::requests::attempt::{Attempt, AttemptOutcome};
use crate::requests::dispatcher::Entry;
use crate::requests::driver::Driver;
use crate::requests::limiter::{Answer, Dispatch};
use crate::requests::source::RequestSource;
use crate::unwind::discard;

/// Makes attempts at items.
pub(crate) trait Jobs: Send + Sync + Sized + 'static {
    type Source: RequestSource;
    type Value: Send + 'static;
    type Error: Send + 'static;

    /// Runs an attempt, or starts it on a runtime.
    fn begin(&self, item: ItemOf<Self>, attempt: Attempt, in_flight: InFlight<Self>);
    /// Forgets the attempt at this item, which has ended.
    fn ended(&self, _index: u64) {}
    /// Aborts the attempt at this item, if it runs on a runtime.
    fn abort(&self, _index: u64) {}
    /// Returns `true` if `abort_all` would abort anything.
    fn can_abort(&self) -> bool {
        false
    }
    /// Aborts all attempts that run on a runtime. Returns `false` if there were none.
    fn abort_all(&self) -> bool {
        false
    }
}

pub(crate) type ItemOf<J> = <<J as Jobs>::Source as RequestSource>::Request;

/// The position of an item's outcome, and the item while no attempt has it.
pub(crate) struct PendingItem<T> {
    pub(crate) ticket: OutputTicket,
    pub(crate) item: Option<T>,
}

/// An item on its way through the dispatcher.
pub(crate) type PendingEntry<J> = Entry<PendingItem<ItemOf<J>>, <J as Jobs>::Error>;

/// Drops the parts of an entry one by one, because the `Drop` of each may panic.
pub(crate) fn discard_entry<K, E>(entry: Entry<PendingItem<K>, E>) {
    discard(entry.payload.item);
    discard(entry.error);
    discard(entry.waits);
}

/// The end of an attempt.
pub(crate) enum AttemptEnd<U, E> {
    Returned(AttemptOutcome<U, E>),
    Panicked(Box<dyn Any + Send>),
    /// The spawner panicked and dropped the future.
    SpawnerPanicked(Box<dyn Any + Send>),
    /// The future was dropped.
    Dropped,
}

impl<U, E> AttemptEnd<U, E> {
    /// Returns what the attempt says about the service.
    pub(crate) fn answer(&self) -> Answer {
        let AttemptEnd::Returned(outcome) = self else { return Answer::None };
        match outcome {
            AttemptOutcome::Done(_) => Answer::Done,
            AttemptOutcome::Failed(_) => Answer::Failed,
            AttemptOutcome::Retry { .. } => Answer::Retry,
            AttemptOutcome::Closed { after, .. } => Answer::Closed(*after),
        }
    }
}

pub(crate) type EndOf<J> = AttemptEnd<<J as Jobs>::Value, <J as Jobs>::Error>;

/// An attempt in flight. If it is dropped before it is finished, its item is lost with it.
pub(crate) struct InFlight<J: Jobs> {
    pub(crate) driver: Arc<Driver<J>>,
    /// `None` once the attempt has ended.
    entry: Option<(PendingEntry<J>, Dispatch)>,
}

impl<J: Jobs> InFlight<J> {
    pub(crate) fn new(driver: Arc<Driver<J>>, entry: PendingEntry<J>, dispatch: Dispatch) -> Self {
        InFlight { driver, entry: Some((entry, dispatch)) }
    }

    /// Ends the attempt, and gives the item back for the next one.
    pub(crate) fn finish(
        mut self,
        item: ItemOf<J>,
        result: thread::Result<AttemptOutcome<J::Value, J::Error>>,
    ) {
        if let Some((entry, _)) = &mut self.entry {
            entry.payload.item = Some(item);
        }
        let result = result.map(AttemptOutcome::without_empty_closing);
        self.end(result.map_or_else(AttemptEnd::Panicked, AttemptEnd::Returned));
    }

    /// Ends the attempt, whose spawner panicked.
    pub(crate) fn spawner_panicked(mut self, payload: Box<dyn Any + Send>) {
        self.end(AttemptEnd::SpawnerPanicked(payload));
    }

    fn end(&mut self, end: EndOf<J>) {
        if let Some((entry, dispatch)) = self.entry.take() {
            self.driver.attempt_ended(entry, dispatch, end);
        }
    }
}

impl<J: Jobs> Drop for InFlight<J> {
    fn drop(&mut self) {
        self.end(AttemptEnd::Dropped);
    }
}
