//! Runs operations on a ring and on its model, and compares the answers.

use crate::completer::Completer;
use crate::drop_counter::{Counted, DropCounter};
use crate::model::{Cell, Model};
use reorder_ring::{
    Batch, Busy, Canceller, Consumer, Delivery, Gap, Permit, Producer, Reason, Rejected, RingRef,
    Ticket, TicketError, TryNextError,
};

/// The handles of a ring, and the model of the ring.
pub(crate) struct Harness<R: RingRef<Value = Counted>> {
    pub(crate) model: Model,
    /// All tickets that were ever reserved.
    pub(crate) tickets: Vec<Ticket>,
    sides: Sides<R>,
    permits: Vec<(Ticket, Permit<R>)>,
    cancellers: Vec<(u64, Canceller<R>)>,
}

enum Sides<R: RingRef> {
    Whole(Batch<R>),
    Split(Option<Producer<R>>, Option<Consumer<R>>),
}

/// Calls a method of the producer or of the consumer. Returns from the function if that side was
/// dropped.
macro_rules! on {
    ($harness:ident . $side:ident . $method:ident ( $($argument:expr)? )) => {
        match &mut $harness.sides {
            Sides::Whole(batch) => batch.$method($($argument)?),
            Sides::Split(_producer, _consumer) => match on!(@ $side _producer _consumer) {
                Some(side) => side.$method($($argument)?),
                None => return,
            },
        }
    };
    (@ producer $producer:ident $consumer:ident) => { $producer };
    (@ consumer $producer:ident $consumer:ident) => { $consumer };
}

impl<R: RingRef<Value = Counted>> Harness<R> {
    pub(crate) fn new(model: Model) -> Self {
        let (permits, cancellers) = (Vec::new(), Vec::new());
        Harness { model, tickets: Vec::new(), sides: Sides::Split(None, None), permits, cancellers }
    }

    /// Drops all handles, and keeps the tickets: messages survive the process of their ring. The
    /// next ring is as the model.
    pub(crate) fn restart(&mut self, model: Model) {
        self.permits.clear();
        self.cancellers.clear();
        self.sides = Sides::Split(None, None);
        self.model = model;
    }

    /// Returns `true` if a handle keeps the ring alive.
    pub(crate) fn has_handles(&self) -> bool {
        let has_sides = !matches!(self.sides, Sides::Split(None, None));
        has_sides || !self.permits.is_empty() || !self.cancellers.is_empty()
    }

    pub(crate) fn open(&mut self, opened: Result<Batch<R>, Busy>) {
        assert_eq!(opened.as_ref().err().copied(), self.model.open().err());
        if let Ok(batch) = opened {
            self.sides = Sides::Whole(batch);
        }
    }

    /// Runs the operation number `op`. Completions and evictions by ticket go to `completer`.
    pub(crate) fn step(
        &mut self,
        op: u8,
        n: usize,
        completer: &impl Completer,
        counter: &DropCounter,
    ) {
        _ = self.pick(n).map(|ticket| self.neighbour(ticket, n as u64, completer));
        match op % 20 {
            0 => self.split(),
            1 | 2 => self.reserve(),
            3 => self.reserve_many(n % 11),
            4 => self.permit(),
            5 => self.permit_complete(n, counter),
            6 => self.permit_drop(n),
            7..=9 => _ = self.pick(n).map(|ticket| self.complete(ticket, completer, counter)),
            10 => _ = self.pick(n).map(|ticket| self.evict(ticket, completer)),
            11 => self.evict_index(n as u64 % 10),
            12 | 13 => self.try_next(),
            14 => self.drain_ready(),
            15 => self.drop_producer(n.is_multiple_of(2)),
            16 => self.drop_consumer(),
            17 => self.keep_canceller(),
            18 => self.cancel(n),
            _ => self.check_head_of_line(),
        }
    }

    /// Returns the ticket of the reservation number `ago`, counted back from the last one.
    pub(crate) fn pick(&self, ago: usize) -> Option<Ticket> {
        let ago = ago.checked_rem(self.tickets.len())?;
        Some(self.tickets[self.tickets.len() - 1 - ago])
    }

    fn split(&mut self) {
        self.sides = match std::mem::replace(&mut self.sides, Sides::Split(None, None)) {
            Sides::Whole(batch) => {
                let (producer, consumer) = batch.split();
                Sides::Split(Some(producer), Some(consumer))
            }
            split => split,
        };
    }

    pub(crate) fn reserve(&mut self) {
        let answer = on!(self.producer.reserve());
        assert_eq!(answer.map(Ticket::position), self.model.reserve(1));
        self.tickets.extend(answer);
    }

    fn reserve_many(&mut self, count: usize) {
        let answer = on!(self.producer.reserve_many(count));
        let expected = self.model.reserve(count as u64);
        assert_eq!(answer.as_ref().err().copied(), expected.err());
        let (Ok(tickets), Ok(first)) = (answer, expected) else { return };
        let positions = tickets.clone().map(Ticket::position);
        assert!(positions.eq(first..first + count as u64));
        self.tickets.extend(tickets);
    }

    fn permit(&mut self) {
        // A permit does not tell its ticket. Another ticket of the ring has the same identity bits.
        let Some(near) = self.tickets.last().copied() else { return };
        let index = self.model.tail - self.model.base;
        let answer = on!(self.producer.permit());
        let expected = self.model.reserve(1);
        assert_eq!(answer.as_ref().err().copied(), expected.err());
        let (Ok(permit), Ok(position)) = (answer, expected) else { return };
        assert_eq!(permit.index(), index);
        let bits = near.to_bits() >> 64 << 64 | u128::from(position);
        let ticket =
            on!(self.producer.ring()).ticket_from_bits(bits).expect("the position is reserved");
        self.tickets.push(ticket);
        self.permits.push((ticket, permit));
    }

    fn permit_complete(&mut self, n: usize, counter: &DropCounter) {
        let Some((ticket, permit)) = take(&mut self.permits, n) else { return };
        let value = counter.value();
        self.completed(ticket, value.id, permit.complete(value));
    }

    fn permit_drop(&mut self, n: usize) {
        let Some((ticket, permit)) = take(&mut self.permits, n) else { return };
        drop(permit);
        _ = self.model.change(ticket.position(), Cell::Gap(Gap::Abandoned));
    }

    fn complete(&mut self, ticket: Ticket, completer: &impl Completer, counter: &DropCounter) {
        let value = counter.value();
        self.completed(ticket, value.id, completer.complete(ticket, value));
    }

    fn completed(&mut self, ticket: Ticket, id: usize, answer: Result<(), Rejected<Counted>>) {
        let expected = self.change(ticket, Cell::Ready(id));
        assert_eq!(answer.as_ref().map_err(|rejected| rejected.reason).copied(), expected);
        if let Err(rejected) = answer {
            assert_eq!(rejected.into_inner().id, id, "the ring returned another value");
        }
    }

    fn evict(&mut self, ticket: Ticket, completer: &impl Completer) {
        let expected = self.change(ticket, Cell::Gap(Gap::Evicted));
        assert_eq!(completer.evict(ticket), expected);
    }

    /// Changes the model. A ring that was resumed may have reserved fewer positions than its
    /// predecessor.
    fn change(&mut self, ticket: Ticket, to: Cell) -> Result<(), Reason> {
        if ticket.position() >= self.model.tail {
            return Err(Reason::Unreserved);
        }
        self.model.change(ticket.position(), to)
    }

    fn evict_index(&mut self, index: u64) {
        let answer = match index {
            9 => on!(self.consumer.evict_head()),
            _ => on!(self.consumer.evict_index(index)).map_err(|error| error.reason),
        };
        let index = if index == 9 { self.model.head - self.model.base } else { index };
        assert_eq!(answer, self.model.evict_index(index));
    }

    /// Checks that the bits of a position near a ticket are accepted if the position is reserved.
    fn neighbour(&self, ticket: Ticket, distance: u64, completer: &impl Completer) {
        let bits = ticket.to_bits() + u128::from(distance);
        let Model { first, tail, .. } = self.model;
        let position = ticket.position() + distance;
        match completer.ticket_from_bits(bits) {
            Ok(found) => assert!(found.to_bits() == bits && position < tail),
            Err(error) => assert_eq!(error, TicketError::Unreserved { position, first, tail }),
        }
    }

    fn try_next(&mut self) {
        let is_whole = matches!(self.sides, Sides::Whole(_));
        let answer = on!(self.consumer.try_next());
        if is_whole && self.model.head == self.model.tail {
            let is_cancelled = self.model.is_cancelled();
            let end = if is_cancelled { TryNextError::Cancelled } else { TryNextError::Ended };
            assert_eq!(answer.err(), Some(end));
        } else {
            assert_eq!(answer.map(numbered), self.model.next());
        }
    }

    fn drain_ready(&mut self) {
        let taken: Vec<_> = on!(self.consumer.drain_ready()).map(numbered).collect();
        let expected: Vec<_> = std::iter::from_fn(|| self.model.next().ok()).collect();
        assert_eq!(taken, expected);
    }

    fn drop_producer(&mut self, finishes: bool) {
        let Sides::Split(producer, _) = &mut self.sides else { return self.drop_whole() };
        let Some(producer) = producer.take() else { return };
        if finishes {
            producer.finish();
            self.model.drop_producer(TryNextError::Ended);
        } else {
            drop(producer);
            self.model.drop_producer(TryNextError::Truncated);
        }
    }

    fn drop_consumer(&mut self) {
        let Sides::Split(_, consumer) = &mut self.sides else { return self.drop_whole() };
        if consumer.take().is_some() {
            self.model.drop_consumer();
        }
    }

    pub(crate) fn drop_whole(&mut self) {
        self.sides = Sides::Split(None, None);
        self.model.drop_producer(TryNextError::Truncated);
        self.model.drop_consumer();
    }

    fn keep_canceller(&mut self) {
        let canceller = on!(self.consumer.canceller());
        self.cancellers.push((self.model.batch_number, canceller));
    }

    fn cancel(&mut self, n: usize) {
        let Some((batch, canceller)) = take(&mut self.cancellers, n) else { return };
        assert_eq!(canceller.cancel(), self.model.cancel(batch));
    }

    fn check_head_of_line(&mut self) {
        let view = on!(self.consumer.head_of_line());
        let Model { base, head, tail, .. } = self.model;
        assert_eq!((view.index, view.reserved), (head - base, tail - head));
        assert_eq!(view.state, self.model.head_state());
        assert_eq!(on!(self.producer.space()) as u64, self.model.space());
    }
}

/// Returns the index of a delivery, and the number of its value.
fn numbered(delivery: Delivery<Counted>) -> (u64, Result<usize, Gap>) {
    (delivery.index, delivery.outcome.map(|value| value.id))
}

fn take<T>(items: &mut Vec<T>, n: usize) -> Option<T> {
    let at = n.checked_rem(items.len())?;
    Some(items.swap_remove(at))
}
