//! An attempt in flight: it was dispatched, and its result has not come back to its batch.

use std::any::Any;
use std::sync::Arc;
use std::thread;

use crate::attempt::{Attempt, AttemptOutcome};
use crate::dispatcher::{AttemptId, Entry, Verdict};
use crate::driver::Driver;
use crate::limiter::{Answer, Dispatched};
use reorder_executor::dispatch::{Call, ItemTicket, discard};

/// Makes attempts at items.
pub(crate) trait Jobs: Send + Sync + Sized + 'static {
    type Item: Send + Sync + 'static;
    type Value: Send + 'static;
    type Error: Send + 'static;

    /// Runs an attempt, or starts it on a runtime.
    fn begin(&self, item: ItemOf<Self>, attempt: Attempt, in_flight: InFlight<Self>);
    /// Forgets an attempt, which has ended.
    fn ended(&self, _id: AttemptId) {}
    /// Aborts an attempt, if it runs on a runtime.
    fn abort(&self, _id: AttemptId) {}
    /// Returns `true` if `abort_all` would abort anything.
    fn can_abort(&self) -> bool {
        false
    }
    /// Aborts all attempts that run on a runtime. Returns `false` if there were none.
    fn abort_all(&self) -> bool {
        false
    }
}

/// The attempts at an item share it.
pub(crate) type ItemOf<J> = Arc<<J as Jobs>::Item>;

/// The position of an item's outcome, and the item.
#[derive(Clone)]
pub(crate) struct PendingItem<T> {
    pub(crate) ticket: ItemTicket,
    pub(crate) item: T,
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
    /// Returns what the attempt says about its item.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            AttemptEnd::Returned(AttemptOutcome::Done(_)) => Verdict::Value,
            AttemptEnd::Returned(AttemptOutcome::Failed(_))
            | AttemptEnd::Panicked(_)
            | AttemptEnd::SpawnerPanicked(_) => Verdict::Failure,
            AttemptEnd::Returned(AttemptOutcome::Retry { .. } | AttemptOutcome::Closed { .. })
            | AttemptEnd::Dropped => Verdict::Open,
        }
    }

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

/// An attempt in flight. If it is dropped before it is finished, the attempt is lost.
pub(crate) struct InFlight<J: Jobs> {
    pub(crate) call: Arc<Call<Driver<J>>>,
    id: AttemptId,
    /// `None` once the attempt has ended.
    dispatch: Option<Dispatched>,
}

impl<J: Jobs> InFlight<J> {
    pub(crate) fn new(call: Arc<Call<Driver<J>>>, id: AttemptId, dispatch: Dispatched) -> Self {
        InFlight { call, id, dispatch: Some(dispatch) }
    }

    /// Ends the attempt. The caller has dropped its reference to the item.
    pub(crate) fn finish(mut self, result: thread::Result<AttemptOutcome<J::Value, J::Error>>) {
        let result = result.map(AttemptOutcome::without_empty_closing);
        self.end(result.map_or_else(AttemptEnd::Panicked, AttemptEnd::Returned));
    }

    /// Ends the attempt, whose spawner panicked.
    pub(crate) fn spawner_panicked(mut self, payload: Box<dyn Any + Send>) {
        self.end(AttemptEnd::SpawnerPanicked(payload));
    }

    fn end(&mut self, end: EndOf<J>) {
        if let Some(dispatch) = self.dispatch.take() {
            self.call.dispatch().attempt_ended(&self.call, self.id, dispatch, end);
        }
    }
}

impl<J: Jobs> Drop for InFlight<J> {
    fn drop(&mut self) {
        self.end(AttemptEnd::Dropped);
    }
}
