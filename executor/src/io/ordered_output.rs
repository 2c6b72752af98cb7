//! The producing end of the ring of a stream, a queue or a call of a dispatcher.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use reorder_ring::Rejected;

use crate::io::chunk::{Chunk, ChunkRing, Spares};
use crate::io::key_order::{Completed, KeyOrder, Overdue};
use crate::io::key_table::KeyTicket;
use crate::io::output_ticket::OutputTicket;
use crate::io::reserved::{TakeItems, push_reserved};
use crate::io::source::Delivered;
use crate::limits::LimitState;
use crate::outcome::{self, Failure, Outcome, Stop};
use crate::primitive::{AtomicUsize, AtomicWaker, now};
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// Takes the outcomes of a stream's items to its consumer.
pub(crate) struct OrderedOutput<U, E> {
    ring: DiscardOnDrop<ChunkRing<U, E>>,
    spares: Arc<Spares<U, E>>,
    /// The limits of the call, if it has any.
    limits: Option<Arc<LimitState>>,
    /// The table of a call that orders its outcomes by key.
    keys: Option<Arc<KeyOrder<U, E>>>,
    /// The maximum number of outstanding items, at most the capacity of the ring.
    window: AtomicUsize,
    /// The waker of the consumer while it waits.
    pub(crate) consumer: Arc<AtomicWaker>,
    pub(crate) delivered: Delivered,
}

impl<U, E> OrderedOutput<U, E> {
    pub(crate) fn new(
        ring: ChunkRing<U, E>,
        spares: Arc<Spares<U, E>>,
        limits: Option<Arc<LimitState>>,
        keys: Option<Arc<KeyOrder<U, E>>>,
        window: usize,
    ) -> Self {
        let budget = limits.as_ref().and_then(|limits| limits.budget.clone());
        OrderedOutput {
            ring: DiscardOnDrop::new(ring),
            spares,
            limits,
            keys,
            window: AtomicUsize::new(window),
            consumer: Arc::new(AtomicWaker::new()),
            delivered: Delivered::new(budget),
        }
    }

    /// Returns the number of items that may be outstanding.
    pub(crate) fn window(&self) -> usize {
        // ORDERING: output:window: Relaxed; as `output:set_window`.
        self.window.load(Relaxed)
    }

    /// Changes the number of items that may be outstanding, from 1 to the capacity of the ring.
    /// Returns the new number. The caller notifies the threads that wait for space.
    pub(crate) fn set_window(&self, items: usize) -> usize {
        let items = items.clamp(1, self.ring.capacity());
        // ORDERING: output:set_window: Relaxed; a number. The fence `stream:space`, the lock of the
        // dispatcher or the fence `room:notify` orders it for a thread that waits for space.
        self.window.store(items, Relaxed);
        items
    }

    /// Returns `true` if the call has limits.
    pub(crate) fn has_limits(&self) -> bool {
        self.limits.is_some()
    }

    /// Returns an empty chunk for `outcomes` outcomes.
    pub(crate) fn chunk(&self, outcomes: usize) -> Chunk<U, E> {
        self.spares.take(outcomes)
    }

    /// Returns `true` if a limit has ended the call. Its consumer may not have noticed yet.
    pub(crate) fn is_ended_early(&self) -> bool {
        self.ended_by().is_some()
    }

    /// Returns the reason why a limit has ended the call.
    pub(crate) fn ended_by(&self) -> Option<Stop> {
        self.limits.as_ref().and_then(|limits| limits.policy.start(limits.now()).err())
    }

    /// Completes a position with outcomes, of which `failed` are failures. Returns the outcomes if
    /// they come too late: the ring or the table of keys refuses them.
    fn try_complete(
        &self,
        ticket: OutputTicket,
        outcomes: Chunk<U, E>,
        failed: u64,
    ) -> Completed<U, E> {
        let fails = self.limits.as_ref().filter(|_| outcomes.iter().any(outcome::is_item_failure));
        // Before the completion: a consumer that has taken the outcomes finds them counted.
        self.delivered.note_failed(failed);
        let completed = match ticket {
            OutputTicket::InOrder(ticket) => {
                let mut refused = None;
                // The consumer's waker may panic. The outcomes are in their place by then.
                catch_panic(|| refused = self.ring.complete(ticket, outcomes).err());
                Completed { refused: refused.map(Rejected::into_inner), has_opened: false }
            }
            OutputTicket::ByKey(ticket) => match &self.keys {
                Some(keys) => keys.complete(ticket, outcomes),
                // It is of another call.
                None => Completed { refused: Some(outcomes), has_opened: false },
            },
        };
        if completed.refused.is_some() {
            // The consumer counts the failure by which it replaced them.
            self.delivered.forget_failed(failed);
            self.forget_timing(ticket);
        } else if let Some(limits) = fails {
            // Not before the completion: the consumer would skip the very item that failed.
            limits.policy.fail(ticket.index());
            self.wake_consumer();
        }
        completed
    }

    /// Drops the timing of an outcome that comes too late. In a call with keys, no later item takes
    /// its place.
    fn forget_timing(&self, ticket: OutputTicket) {
        let log = self.limits.as_ref().and_then(|limits| limits.timing_log.as_ref());
        if let (Some(log), OutputTicket::ByKey(ticket)) = (log, ticket) {
            log.take(ticket.index);
        }
    }

    fn count_late(&self, outcome: &Outcome<U, E>) {
        if let (Some(limits), true) = (&self.limits, outcome::is_job_result(outcome)) {
            limits.policy.count_late();
        }
    }

    /// Completes a position. Outcomes that come too late are counted and dropped. Returns `true` if
    /// parked items may start now.
    fn complete(&self, ticket: OutputTicket, outcomes: Chunk<U, E>, failed: u64) -> bool {
        let Completed { refused, has_opened } = self.try_complete(ticket, outcomes, failed);
        if let Some(mut outcomes) = refused {
            while let Some(outcome) = outcomes.pop() {
                self.count_late(&outcome);
                discard(outcome);
            }
            self.spares.put(outcomes);
        }
        has_opened
    }

    /// Completes the position of one item. Returns an outcome that comes too late, and counts it.
    pub(crate) fn try_complete_one(
        &self,
        ticket: OutputTicket,
        outcome: Outcome<U, E>,
    ) -> Option<Outcome<U, E>> {
        let (mut chunk, failed) = (self.chunk(1), outcome.is_err().into());
        chunk.push(outcome);
        let mut refused = self.try_complete(ticket, chunk, failed).refused?;
        let outcome = refused.pop()?;
        self.count_late(&outcome);
        self.spares.put(refused);
        Some(outcome)
    }

    /// Returns `false` if the ring would refuse an outcome at this position.
    pub(crate) fn is_wanted(&self, ticket: OutputTicket) -> bool {
        match ticket {
            OutputTicket::InOrder(ticket) => self.ring.is_wanted(ticket),
            OutputTicket::ByKey(ticket) => {
                self.keys.as_ref().is_some_and(|keys| keys.is_wanted(ticket))
            }
        }
    }

    /// Runs the items of a chunk, and completes its position. A panic is the outcome of its item.
    /// Returns `true` if parked items may start now.
    pub(crate) fn run_all<I: TakeItems>(
        &self,
        ticket: OutputTicket,
        items: &mut I,
        mut job: impl FnMut(I::Item) -> Outcome<U, E>,
    ) -> bool {
        if self.note_start(ticket) {
            self.give_up_overdue(|ticket, stop| self.give_up(ticket, stop));
        }
        let (mut outcomes, mut failed) = (self.chunk(items.len()), 0);
        let mut job = |item| {
            let outcome = job(item);
            failed += u64::from(outcome.is_err());
            outcome
        };
        let mut panics = 0;
        // One catch for all items, and one more after each panic, whose item has been taken by
        // then.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
            let left = items.len();
            let mut rest = items.rest();
            push_reserved(&mut outcomes, left, || rest.next().map(&mut job))
        })) {
            outcomes.push(Err(Failure::panicked(payload)));
            panics += 1;
        }
        self.complete(ticket, outcomes, failed + panics)
    }

    /// Completes the position of one item. Returns `true` if parked items may start now.
    pub(crate) fn complete_one(&self, ticket: OutputTicket, outcome: Outcome<U, E>) -> bool {
        let (mut chunk, failed) = (self.chunk(1), outcome.is_err().into());
        chunk.push(outcome);
        self.complete(ticket, chunk, failed)
    }

    /// Returns the table of a call that orders its outcomes by key.
    pub(crate) fn keys(&self) -> Option<&Arc<KeyOrder<U, E>>> {
        self.keys.as_ref()
    }

    /// Notes that an item starts now, if it has a key and its time is limited.
    ///
    /// Returns `true` if the time of another item is up. The caller gives that item up, because the
    /// consumer may always have other outcomes to take.
    pub(crate) fn note_start(&self, ticket: OutputTicket) -> bool {
        let (Some(limits), Some(keys), OutputTicket::ByKey(ticket)) =
            (&self.limits, &self.keys, ticket)
        else {
            return false;
        };
        let Some(timeout) = limits.policy.settings.item_timeout else { return false };
        let now = now();
        keys.note_start(ticket, now).checked_add(timeout).is_some_and(|end| end <= now)
    }

    /// Gives up the items with a key whose time is up. `give_up` returns `true` if it gave the item
    /// an outcome.
    pub(crate) fn give_up_overdue(
        &self,
        mut give_up: impl FnMut(KeyTicket, Stop) -> bool,
    ) -> Overdue {
        let mut overdue = Overdue::default();
        let (Some(limits), Some(keys)) = (&self.limits, &self.keys) else { return overdue };
        // An instant that the clock cannot represent is no deadline.
        let Some(timeout) = limits.policy.settings.item_timeout else { return overdue };
        let Some(before) = now().checked_sub(timeout) else { return overdue };
        // Also an item that started at this instant.
        let before = before + Duration::from_nanos(1);
        let (tickets, next) = keys.started_before(before);
        overdue.next = next.and_then(|next| next.checked_add(timeout));
        for ticket in tickets {
            if give_up(ticket, Stop::ItemDeadline(timeout)) {
                overdue.given_up.push(ticket.index);
                limits.policy.fail(ticket.index);
            }
        }
        overdue
    }

    /// Gives an item with a key its failure, although a thread has the item. Returns `false` if the
    /// item has an outcome.
    pub(crate) fn give_up(&self, ticket: KeyTicket, stop: Stop) -> bool {
        let Some(keys) = &self.keys else { return false };
        let refused = keys.give_up(ticket, self.stopped(stop, true)).is_err();
        self.delivered.forget_failed(refused.into());
        !refused
    }

    /// Gives an outcome to each parked item, and to each open one if `also_open`. Afterwards, no
    /// item is admitted. `unpark` gets the slots of parked items, under the lock of the table.
    /// Returns the number of outcomes.
    pub(crate) fn stop_keys(&self, stop: Stop, also_open: bool, unpark: impl FnMut(u32)) -> usize {
        let Some(keys) = &self.keys else { return 0 };
        let mut stopped = 0;
        let outcome = |has_started| {
            stopped += 1;
            self.stopped(stop, has_started)
        };
        keys.stop(also_open, outcome, unpark);
        stopped
    }

    /// Returns `true` if a limit has ended the call for items that run, too.
    pub(crate) fn is_aborted(&self) -> bool {
        self.limits.as_ref().is_some_and(|limits| limits.policy.go_on(limits.now()).is_err())
    }

    /// Returns the outcome of an item that has no result because of `stop`.
    fn stopped(&self, stop: Stop, has_started: bool) -> Chunk<U, E> {
        self.delivered.note_failed(1);
        let mut chunk = self.chunk(1);
        chunk.push(Err(Failure::stopped(stop, has_started.into(), None)));
        chunk
    }

    /// Wakes the consumer if it waits.
    pub(crate) fn wake_consumer(&self) {
        catch_panic(|| self.consumer.wake());
    }
}
