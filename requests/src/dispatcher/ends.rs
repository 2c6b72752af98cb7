//! The ends of the time that items have, and the instant of the next hedge.

use std::time::Instant;

use crate::dispatcher::Dispatcher;
use crate::dispatcher::action::NextHedge;
use crate::dispatcher::item::Entry;

impl<S, P: Clone, E> Dispatcher<S, P, E> {
    /// Extends the time of an item that waits, if the service was closed meanwhile. Returns `false`
    /// if it was not.
    pub(super) fn extend(&mut self, index: u64, end: Instant) -> bool {
        let Some(waiting) = self.waiting.get(&index) else { return false };
        let later = self.end_of_waiting(&waiting.entry);
        if later.is_some_and(|later| later <= end) {
            return false;
        }
        self.ends.remove(&(end, index));
        self.ends.extend(later.map(|at| (at, index)));
        if let Some(waiting) = self.waiting.get_mut(&index) {
            waiting.end = later;
        }
        true
    }

    /// Returns the end of the time in which an item may wait.
    pub(super) fn end_of_waiting(&self, entry: &Entry<P, E>) -> Option<Instant> {
        self.end_of_budget(entry).into_iter().chain(self.item_deadline(entry)).min()
    }

    /// Returns the hedge of the first item without an outcome, if it gets one.
    pub(super) fn next_hedge(&self, now: Instant) -> Option<NextHedge> {
        let delay = self.hedge.as_ref()?.get()?;
        if !self.allows_retries() {
            return None;
        }
        let (entry, started) = self.running.first_without_hedge()?;
        let is_head = |other: Option<&u64>| other.is_none_or(|&other| entry.index < other);
        let is_first = is_head(self.waiting.keys().next()) && is_head(self.ending.first());
        let at = started.checked_add(delay).filter(|_| is_first)?;
        let until = self.end_of_waiting(entry);
        let is_in_time = until.is_none_or(|until| at.max(now) < until);
        is_in_time.then_some(NextHedge { index: entry.index, at, until })
    }

    /// Returns the end of the time in which attempts at an item start.
    pub(super) fn end_of_budget(&self, entry: &Entry<P, E>) -> Option<Instant> {
        let closed = self.config.limiter.closed_in_all().saturating_sub(entry.closed_before);
        entry.started?.checked_add(self.config.retry.within.saturating_add(closed))
    }

    pub(super) fn item_deadline(&self, entry: &Entry<P, E>) -> Option<Instant> {
        entry.started?.checked_add(self.item_timeout?)
    }
}
