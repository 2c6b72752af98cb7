//! An attempt that was dispatched.

use std::any::Any;
use std::sync::Arc;

use reorder_ring::Ticket;

use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::dispatcher::Entry;
use crate::requests::limiter::Dispatch;
use crate::scheduler::Scheduler;

/// The position of an item's outcome, and the item while no attempt has it.
pub(crate) struct PendingItem<K> {
    pub(crate) ticket: Ticket,
    pub(crate) item: Option<K>,
}

/// The end of an attempt.
pub(crate) enum AttemptResult<U, E> {
    Returned(AttemptOutcome<U, E>),
    Panicked(Box<dyn Any + Send>),
    /// The attempt was dropped without a result.
    Lost,
}

/// The batch that an attempt belongs to.
pub(crate) trait AttemptOwner<K, U, E>: Send + Sync {
    /// Takes back the entry of an attempt that ended.
    fn attempt_ended(
        &self,
        entry: Entry<PendingItem<K>, E>,
        dispatch: Dispatch,
        result: AttemptResult<U, E>,
    );
    /// Returns `true` if no caller can receive a result any more.
    fn is_over(&self) -> bool;
    fn scheduler(&self) -> &Arc<Scheduler>;
}

/// An attempt that was dispatched. If it is dropped before it is finished, it is lost, and its item
/// with it.
pub(crate) struct InFlight<K, U, E> {
    owner: Arc<dyn AttemptOwner<K, U, E>>,
    entry: Option<(Entry<PendingItem<K>, E>, Dispatch)>,
}

impl<K, U, E> InFlight<K, U, E> {
    pub(crate) fn new(
        owner: Arc<dyn AttemptOwner<K, U, E>>,
        entry: Entry<PendingItem<K>, E>,
        dispatch: Dispatch,
    ) -> Self {
        InFlight { owner, entry: Some((entry, dispatch)) }
    }

    pub(crate) fn owner(&self) -> &Arc<dyn AttemptOwner<K, U, E>> {
        &self.owner
    }

    /// Ends the attempt, and gives the item back for the next one.
    pub(crate) fn finish(
        mut self,
        item: K,
        result: Result<AttemptOutcome<U, E>, Box<dyn Any + Send>>,
    ) {
        if let Some((mut entry, dispatch)) = self.entry.take() {
            entry.payload.item = Some(item);
            let result = result.map_or_else(AttemptResult::Panicked, AttemptResult::Returned);
            self.owner.attempt_ended(entry, dispatch, result);
        }
    }
}

impl<K, U, E> Drop for InFlight<K, U, E> {
    fn drop(&mut self) {
        if let Some((entry, dispatch)) = self.entry.take() {
            self.owner.attempt_ended(entry, dispatch, AttemptResult::Lost);
        }
    }
}
