//! The last errors of items that are at another attempt.
//!
//! The attempt has the entry of its item. If the consumer gives up the item meanwhile, the failure
//! of the item still has its last error. Callers hold the lock of the dispatcher, so an error is
//! either here or with a thread that the dispatcher knows to decide the end of its item.

use std::collections::HashMap;

use crate::io::OutputTicket;
use crate::primitive::{Mutex, lock};
use crate::requests::dispatcher::Entry;
use crate::requests::in_flight::PendingItem;
use crate::unwind::DiscardOnDrop;

/// The last error of an item, and what its failure needs.
pub(crate) struct LastError<E> {
    pub(crate) ticket: OutputTicket,
    pub(crate) attempts: u32,
    pub(crate) error: E,
}

/// The last errors, by the index of the item.
pub(crate) struct LastErrors<E>(DiscardOnDrop<Mutex<HashMap<u64, LastError<E>>>>);

impl<E> LastErrors<E> {
    pub(crate) fn new() -> Self {
        LastErrors(DiscardOnDrop::new(Mutex::default()))
    }

    /// Keeps the error of an item that starts another attempt.
    pub(crate) fn keep<T>(&self, entry: &mut Entry<PendingItem<T>, E>) {
        if let Some(error) = entry.error.take() {
            let (ticket, attempts) = (entry.payload.ticket, entry.attempts);
            lock(&self.0).insert(entry.index, LastError { ticket, attempts, error });
        }
    }

    /// Removes the error of an item, and returns it.
    pub(crate) fn take(&self, index: u64) -> Option<LastError<E>> {
        lock(&self.0).remove(&index)
    }
}
