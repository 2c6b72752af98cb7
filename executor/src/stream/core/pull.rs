//! Pulls the source of a stream.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::io::{Filled, Phase, PullBuffer, SourceEnd};
use crate::primitive::fence;
use crate::scheduler::TimeSlice;
use crate::stream::core::{Claim, Core, Item, Parts, Source, Tickets};
use crate::stream::work::{Helper, StreamWork};
use crate::unwind::discard;

/// The result of a pull.
struct Pulled {
    claim: Claim,
    phase: Phase,
    end: Option<SourceEnd>,
}

impl<P: Parts> Core<P> {
    /// Pulls items and reserves their position. Returns `None` if none came.
    pub(super) fn pull<const MOST: usize>(
        &self,
        slice: &TimeSlice<'_>,
        items: &mut PullBuffer<Item<P>, MOST>,
        helper: Option<Helper>,
    ) -> Claim {
        let Some(mut puller) = self.source.try_start() else { return Claim::Nothing };
        if slice.is_searching() {
            // No other thread has to look: while this one pulls, nothing more is claimable here.
            slice.claimed(self);
        }
        let Pulled { claim, phase, end } = self.pull_items(slice, &mut puller.state, items, helper);
        let source = if phase == Phase::Ended { puller.state.take() } else { None };
        let pulled = puller.state.as_mut().map_or(u64::MAX, |source| {
            source.await_space(phase == Phase::Full, &self.output.delivered);
            source.pulled
        });
        puller.release(phase);
        let has_space = phase == Phase::Full && self.look_again(pulled);
        match source {
            Some(source) => self.finish(source, end),
            None => self.drop_source_if_cancelled(),
        }
        if has_space || !self.backlog.is_empty() {
            // The consumer found a thread pulling. It may have to pull now, or can help.
            self.output.wake_consumer();
        }
        // Also if nothing came: a worker that looked meanwhile found this thread pulling.
        slice.claimed(self);
        claim
    }

    fn pull_items<const MOST: usize>(
        &self,
        slice: &TimeSlice<'_>,
        source: &mut Option<Source<P>>,
        items: &mut PullBuffer<Item<P>, MOST>,
        helper: Option<Helper>,
    ) -> Pulled {
        let nothing = |phase| Pulled { claim: Claim::Nothing, phase, end: None };
        let Some(source) = source else { return nothing(Phase::Ended) };
        let chunk = self.next_chunk.size().min(MOST as u32);
        let chunks = match helper {
            // The second chunk is for the consumer.
            None if !self.never_blocks && self.is_helped(slice) => 2,
            _ => 1,
        };
        let wanted = chunk.saturating_mul(chunks).min(MOST as u32);
        let most = source.free_space(wanted, &self.output.delivered, self.output.window());
        if most == 0 {
            // A source that says it has no more need not be asked. Asking would need space.
            return nothing(if source.is_exhausted() { Phase::Ended } else { Phase::Full });
        }
        let most = match helper {
            None => most,
            Some(_) if self.never_blocks => most,
            Some(helper) if self.may_pull(helper) => 1,
            Some(_) => return nothing(Phase::Open),
        };
        let most = if source.has_budget() || source.has_keys() { 1 } else { most };
        if source.has_budget() {
            let _inside = slice.enter_source();
            if !source.next_fits() {
                return nothing(Phase::Full);
            }
        }
        let (filled, mut producer) = if self.never_blocks || source.has_keys() {
            // Of a source with keys, only this thread knows the key of the item. A thread that took
            // the item over would not wait for earlier items of the key.
            let inside = (!self.never_blocks).then(|| slice.enter_source());
            if inside.is_none() {
                slice.note_pulling();
            }
            let filled = source.fill(most, items.writer());
            drop(inside);
            source.pulled += items.len() as u64;
            (filled, self.handover.claims())
        } else {
            // SAFETY: this thread has the right to pull, and ends the pull below.
            let mut shared = unsafe { self.handover.share(items) };
            let inside = slice.enter_source();
            let filled = source.fill(most, shared.publisher());
            drop(inside);
            source.pulled += shared.pulled() as u64;
            let (producer, has_waited) = shared.end();
            if has_waited {
                self.next_chunk.start_again();
            }
            (filled, producer)
        };
        let Filled { promised, end } = filled;
        // A write that changes nothing would still take the line from the other threads.
        // ORDERING: stream:promise: Relaxed; a hint, asked for again by the next puller.
        if self.promising.load(Relaxed) != (promised > 0) {
            self.promising.store(promised > 0, Relaxed);
        }
        let mut claim = Claim::Nothing;
        if let Some(key) = source.take_key().filter(|_| items.len() > 0) {
            drop(producer);
            match self.admit(key, items) {
                Some(admitted) => claim = admitted,
                None => {
                    items.for_each(discard);
                    return nothing(Phase::Ended);
                }
            }
        } else if items.len() > 0 {
            // Equal parts, if there is no space for as many as wanted.
            let chunk = items.len().div_ceil(chunks as usize);
            items.keep(chunk);
            claim = Claim::items(self.reserve(&mut producer, items.len()));
            let is_reserved = matches!(claim, Claim::Items(_));
            if !is_reserved || !self.leave_tail(&mut producer, items, chunk) {
                // The stream was cancelled, and the items have no position any more.
                items.for_each(discard);
                return nothing(Phase::Ended);
            }
        }
        Pulled { claim, phase: if end.is_none() { Phase::Open } else { Phase::Ended }, end }
    }

    /// Leaves items to other threads, in chunks. Returns `false` if the consumer has gone.
    fn leave_tail<const MOST: usize>(
        &self,
        producer: &mut Option<Tickets<P>>,
        items: &mut PullBuffer<Item<P>, MOST>,
        chunk: usize,
    ) -> bool {
        while items.tail() > 0 {
            let count = items.tail().min(chunk);
            let Some(reserved) = self.reserve(producer, count) else { return false };
            let ticket = reserved.ticket;
            let refused = self.backlog.push(reserved, |into| items.move_tail(count, into));
            self.refuse_in_backlog(ticket, refused);
        }
        true
    }

    /// Returns `true` if a consumer may pull an item.
    ///
    /// While it is inside the source it delivers nothing, and the source may wait for that. So
    /// nothing may be outstanding, unless no other thread is there.
    pub(super) fn may_pull(&self, helper: Helper) -> bool {
        match helper {
            _ if self.never_blocks => true,
            Helper::Volunteer => false,
            Helper::Worker => self.progress.pulled() <= self.output.delivered.get(),
            Helper::Alone => true,
        }
    }

    /// Returns `true` if the consumer helps, so that a worker pulls for it, too.
    fn is_helped(&self, slice: &TimeSlice<'_>) -> bool {
        // ORDERING: stream:is_helped: Relaxed; a hint.
        let by_worker = self.has_helping_worker.load(Relaxed);
        by_worker || slice.scheduler.consumer_helps && !self.output.has_limits() && self.is_cheap()
    }

    /// Looks for space once more after the phase became `FULL`, and reopens it if there is some.
    ///
    /// No other thread would notice space that the consumer made just before. Returns `true` if
    /// this thread reopened the phase.
    pub(super) fn look_again(&self, pulled: u64) -> bool {
        // ORDERING: stream:full: SeqCst fence, pairs with `stream:space`: either the consumer sees
        // `FULL`, or this thread sees its takes.
        fence(SeqCst);
        let limit = self.output.delivered.get() + self.output.window() as u64;
        pulled < limit && self.budget_has_room() && self.source.reopen()
    }

    /// Returns `false` if the next item has to wait for room in the budget.
    pub(super) fn budget_has_room(&self) -> bool {
        self.output.delivered.budget().is_none_or(|budget| budget.has_room())
    }
}
