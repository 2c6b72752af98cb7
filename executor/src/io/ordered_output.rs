//! The producing end of a stream's ring.

use reorder_ring::Ticket;
use std::sync::Arc;

use crate::io::chunk::{Chunk, ChunkRing, Spares};
use crate::io::source::Delivered;
use crate::limits::LimitState;
use crate::outcome::{self, Outcome};
use crate::primitive::AtomicWaker;
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// Takes the outcomes of a stream's items to its consumer.
pub(crate) struct OrderedOutput<U, E> {
    ring: DiscardOnDrop<ChunkRing<U, E>>,
    spares: Arc<Spares<U, E>>,
    /// The limits of the call, if it has any.
    limits: Option<Arc<LimitState>>,
    /// The waker of the consumer while it waits.
    pub(crate) consumer: AtomicWaker,
    pub(crate) delivered: Delivered,
}

impl<U, E> OrderedOutput<U, E> {
    pub(crate) fn new(
        ring: ChunkRing<U, E>,
        spares: Arc<Spares<U, E>>,
        limits: Option<Arc<LimitState>>,
    ) -> Self {
        OrderedOutput {
            ring: DiscardOnDrop::new(ring),
            spares,
            limits,
            consumer: AtomicWaker::new(),
            delivered: Delivered::default(),
        }
    }

    /// Returns the number of items that may be outstanding.
    pub(crate) fn window(&self) -> usize {
        self.ring.capacity()
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

    /// Completes a position. The ring refuses outcomes that come too late. They are counted and
    /// dropped here.
    pub(crate) fn complete(&self, ticket: Ticket, outcomes: Chunk<U, E>) {
        let fails = self.limits.as_ref().filter(|_| outcomes.iter().any(outcome::is_item_failure));
        let mut refused = None;
        // The consumer's waker may panic. The outcomes are in their place by then.
        catch_panic(|| refused = self.ring.complete(ticket, outcomes).err());
        if let Some(refused) = refused {
            let mut outcomes = refused.into_inner();
            while let Some(outcome) = outcomes.pop() {
                if let (Some(limits), true) = (&self.limits, outcome::is_job_result(&outcome)) {
                    limits.policy.count_late();
                }
                discard(outcome);
            }
            self.spares.put(outcomes);
        }
        if let Some(limits) = fails {
            // Not before the completion: the consumer would skip the very item that failed.
            limits.policy.fail(ticket.position());
            self.wake_consumer();
        }
    }

    /// Completes the position of one item.
    pub(crate) fn complete_one(&self, ticket: Ticket, outcome: Outcome<U, E>) {
        let mut chunk = self.chunk(1);
        chunk.push(outcome);
        self.complete(ticket, chunk);
    }

    /// Wakes the consumer if it waits.
    pub(crate) fn wake_consumer(&self) {
        catch_panic(|| self.consumer.wake());
    }
}
