//! The producing end of the ring of a stream, a queue or requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use reorder_ring::{Rejected, Ticket};

use crate::io::chunk::{Chunk, ChunkRing, Spares};
use crate::io::reserved::{TakeItems, push_reserved};
use crate::io::source::Delivered;
use crate::limits::LimitState;
use crate::outcome::{self, Failure, Outcome};
use crate::primitive::{AtomicUsize, AtomicWaker};
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// Takes the outcomes of a stream's items to its consumer.
pub(crate) struct OrderedOutput<U, E> {
    ring: DiscardOnDrop<ChunkRing<U, E>>,
    spares: Arc<Spares<U, E>>,
    /// The limits of the call, if it has any.
    limits: Option<Arc<LimitState>>,
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
        window: usize,
    ) -> Self {
        let budget = limits.as_ref().and_then(|limits| limits.budget.clone());
        OrderedOutput {
            ring: DiscardOnDrop::new(ring),
            spares,
            limits,
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
        self.limits.as_ref().is_some_and(|limits| limits.policy.start(limits.now()).is_err())
    }

    /// Returns `true` if a limit has ended the call for items that run, too.
    #[cfg(feature = "requests")]
    pub(crate) fn is_aborted(&self) -> bool {
        self.limits.as_ref().is_some_and(|limits| limits.policy.go_on(limits.now()).is_err())
    }

    /// Completes a position with outcomes, of which `failed` are failures. Returns the outcomes if
    /// they come too late: the ring refuses them.
    fn try_complete(
        &self,
        ticket: Ticket,
        outcomes: Chunk<U, E>,
        failed: u64,
    ) -> Option<Chunk<U, E>> {
        let fails = self.limits.as_ref().filter(|_| outcomes.iter().any(outcome::is_item_failure));
        let mut refused = None;
        // Before the completion: a consumer that has taken the outcomes finds them counted.
        self.delivered.note_failed(failed);
        // The consumer's waker may panic. The outcomes are in their place by then.
        catch_panic(|| refused = self.ring.complete(ticket, outcomes).err());
        if let Some(limits) = fails {
            // Not before the completion: the consumer would skip the very item that failed.
            limits.policy.fail(ticket.position());
            self.wake_consumer();
        }
        if refused.is_some() {
            // The consumer counts the failure by which it replaced them.
            self.delivered.forget_failed(failed);
        }
        refused.map(Rejected::into_inner)
    }

    fn count_late(&self, outcome: &Outcome<U, E>) {
        if let (Some(limits), true) = (&self.limits, outcome::is_job_result(outcome)) {
            limits.policy.count_late();
        }
    }

    /// Completes a position. Outcomes that come too late are counted and dropped.
    fn complete(&self, ticket: Ticket, outcomes: Chunk<U, E>, failed: u64) {
        if let Some(mut outcomes) = self.try_complete(ticket, outcomes, failed) {
            while let Some(outcome) = outcomes.pop() {
                self.count_late(&outcome);
                discard(outcome);
            }
            self.spares.put(outcomes);
        }
    }

    /// Completes the position of one item. Returns an outcome that comes too late, and counts it.
    pub(crate) fn try_complete_one(
        &self,
        ticket: Ticket,
        outcome: Outcome<U, E>,
    ) -> Option<Outcome<U, E>> {
        let (mut chunk, failed) = (self.chunk(1), outcome.is_err().into());
        chunk.push(outcome);
        let mut refused = self.try_complete(ticket, chunk, failed)?;
        let outcome = refused.pop()?;
        self.count_late(&outcome);
        self.spares.put(refused);
        Some(outcome)
    }

    /// Returns `false` if the ring would refuse an outcome at this position.
    pub(crate) fn is_wanted(&self, ticket: Ticket) -> bool {
        self.ring.is_wanted(ticket)
    }

    /// Runs the items of a chunk, and completes its position. A panic is the outcome of its item.
    pub(crate) fn run_all<I: TakeItems>(
        &self,
        ticket: Ticket,
        items: &mut I,
        mut job: impl FnMut(I::Item) -> Outcome<U, E>,
    ) {
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
        self.complete(ticket, outcomes, failed + panics);
    }

    /// Completes the position of one item.
    pub(crate) fn complete_one(&self, ticket: Ticket, outcome: Outcome<U, E>) {
        let (mut chunk, failed) = (self.chunk(1), outcome.is_err().into());
        chunk.push(outcome);
        self.complete(ticket, chunk, failed);
    }

    /// Wakes the consumer if it waits.
    pub(crate) fn wake_consumer(&self) {
        catch_panic(|| self.consumer.wake());
    }
}
