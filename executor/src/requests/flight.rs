//! An attempt on its way.

use std::any::Any;
use std::sync::Arc;

use reorder_ring::Ticket;

use crate::hub::Hub;
use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::desk::Entry;
use crate::requests::rate_limiter::Dispatch;

/// Where the outcome of an item goes, and the item itself, while no attempt has it.
pub(crate) struct Place<K> {
    pub(crate) ticket: Ticket,
    pub(crate) item: Option<K>,
}

/// How an attempt ended.
pub(crate) enum Landing<U, E> {
    Answered(AttemptOutcome<U, E>),
    Panicked(Box<dyn Any + Send>),
    /// Nobody said anything, and nobody will.
    Lost,
}

/// Where attempts come back to.
pub(crate) trait Home<K, U, E>: Send + Sync {
    fn landed(&self, entry: Entry<Place<K>, E>, dispatch: Dispatch, landing: Landing<U, E>);
    /// Whether nobody wants what comes back.
    fn is_over(&self) -> bool;
    fn hub(&self) -> &Arc<Hub>;
}

/// An attempt that was dispatched. Dropped without an answer, it is lost, and its item with it.
pub(crate) struct Flight<K, U, E> {
    home: Arc<dyn Home<K, U, E>>,
    going: Option<(Entry<Place<K>, E>, Dispatch)>,
}

impl<K, U, E> Flight<K, U, E> {
    pub(crate) fn new(
        home: Arc<dyn Home<K, U, E>>,
        entry: Entry<Place<K>, E>,
        dispatch: Dispatch,
    ) -> Self {
        Flight { home, going: Some((entry, dispatch)) }
    }

    pub(crate) fn home(&self) -> &Arc<dyn Home<K, U, E>> {
        &self.home
    }

    /// Ends it, and gives the item back for the next one.
    pub(crate) fn land(
        mut self,
        item: K,
        result: Result<AttemptOutcome<U, E>, Box<dyn Any + Send>>,
    ) {
        if let Some((mut entry, dispatch)) = self.going.take() {
            entry.place.item = Some(item);
            let landing = result.map_or_else(Landing::Panicked, Landing::Answered);
            self.home.landed(entry, dispatch, landing);
        }
    }
}

impl<K, U, E> Drop for Flight<K, U, E> {
    fn drop(&mut self) {
        if let Some((entry, dispatch)) = self.going.take() {
            self.home.landed(entry, dispatch, Landing::Lost);
        }
    }
}
