//! The threads of a history: a producer, a consumer that opens a second batch later, and two
//! threads that complete, evict and cancel.

use std::task::{Context, Poll, Waker};
use std::thread;

use crate::history::{Clock, History, Log};
use crate::model::Cell;
use crate::spec::{Side, Step};
use crate::{Gap, Reason, TryNextError};
use reorder_ring::{
    Batch, Canceller, Consumer, Delivery, NextError, Permit, Producer, Rejected, ReserveError,
    Ring, Ticket,
};
use reorder_stress::{Random, with_delays};

/// The maximum number of positions of the first batch.
const ITEMS: usize = 4;
/// The approximate number of calls of a thread.
const CALLS: usize = 8;

type Handle<'r> = &'r Ring<usize>;

pub(crate) fn run(seed: u64) -> History {
    let mut random = Random::new(seed);
    let capacity = [1, 2, 4][random.below(3)];
    let (ring, clock) = (Ring::with_capacity(capacity).unwrap(), Clock::default());
    let actor = |number: u64| Actor {
        ring: &ring,
        random: Random::new(seed * 8 + number),
        log: Log::new(&clock),
        next_value: number as usize * 1000,
    };
    let mut first = actor(0);
    let batch = first.open().expect("the ring is free");
    let (mut producer, consumer) = batch.split();
    let ticket = first.reserve(&mut producer).expect("the ring has free slots");
    let canceller = consumer.canceller();

    let logs = thread::scope(|scope| {
        let (producing, consuming) = (actor(1), actor(2));
        let mut threads = vec![
            scope.spawn(move || with_delays(seed * 8 + 1, || producing.produce(producer))),
            scope.spawn(move || with_delays(seed * 8 + 2, || consuming.consume(consumer))),
        ];
        for number in 3..5 {
            let (completer, canceller) = (actor(number), canceller.clone());
            threads.push(scope.spawn(move || {
                with_delays(seed * 8 + number, || completer.interfere(ticket, &canceller))
            }));
        }
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        [first.log].into_iter().chain(ended).collect()
    });
    History::new(capacity as u64, logs)
}

struct Actor<'r> {
    ring: Handle<'r>,
    random: Random,
    log: Log<'r>,
    next_value: usize,
}

impl<'r> Actor<'r> {
    fn produce(mut self, mut producer: Producer<Handle<'r>>) -> Log<'r> {
        let items = 1 + self.random.below(ITEMS);
        for _ in 0..CALLS {
            if producer.reserved() == items as u64 {
                break;
            }
            if self.random.once_in(4) {
                self.use_permit(&mut producer);
            } else if self.reserve(&mut producer) == Err(ReserveError::Full) {
                thread::yield_now();
            }
        }
        self.end(producer);
        self.log
    }

    fn consume(mut self, mut consumer: Consumer<Handle<'r>>) -> Log<'r> {
        for _ in 0..self.random.below(2 * CALLS) {
            match self.random.below(10) {
                0 => self.head_of_line(&consumer),
                1 => self.evict_index(&mut consumer),
                _ => match self.take(&mut consumer) {
                    Ok(()) => {}
                    Err(TryNextError::Pending) => thread::yield_now(),
                    Err(_) => break,
                },
            }
        }
        self.leave(consumer);
        if let Some(batch) = (0..CALLS).find_map(|_| self.open()) {
            self.second_batch(batch);
        }
        self.log
    }

    /// Runs both sides of a batch, while other threads still use tickets of the first batch.
    fn second_batch(&mut self, batch: Batch<Handle<'r>>) {
        let (mut producer, mut consumer) = batch.split();
        for _ in 0..2 {
            if let Ok(ticket) = self.reserve(&mut producer) {
                if self.random.once_in(2) {
                    self.complete(ticket);
                }
                _ = self.take(&mut consumer);
            }
        }
        self.end(producer);
        _ = self.take(&mut consumer);
        self.leave(consumer);
    }

    /// Completes and evicts positions near `first`, and sometimes cancels the batch.
    fn interfere(mut self, first: Ticket, canceller: &Canceller<Handle<'r>>) -> Log<'r> {
        for _ in 0..self.random.below(CALLS) {
            let distance = self.random.below(ITEMS + 1) as u64;
            if self.random.once_in(16) {
                self.log.call(|| canceller.cancel(), |&cancels| vec![Step::Cancel(cancels)]);
            }
            let Some(ticket) = self.rebuild(first, distance) else {
                thread::yield_now();
                continue;
            };
            match self.random.below(4) {
                0 => self.evict(ticket),
                _ => self.complete(ticket),
            }
        }
        self.log
    }

    fn open(&mut self) -> Option<Batch<Handle<'r>>> {
        let opened = self.log.call(
            || self.ring.open(),
            |opened| vec![Step::Open(opened.as_ref().map(|_| ()).map_err(|&busy| busy))],
        );
        opened.ok()
    }

    fn reserve(&mut self, producer: &mut Producer<Handle<'r>>) -> Result<Ticket, ReserveError> {
        self.log.call(|| producer.reserve(), |answer| reserved(answer.map(Ticket::position)))
    }

    fn use_permit(&mut self, producer: &mut Producer<Handle<'r>>) {
        let position = producer.reserved();
        let permit = self.log.call(
            || producer.permit(),
            |answer| reserved(answer.as_ref().map(|_| position).map_err(|&error| error)),
        );
        match permit {
            Ok(permit) if self.random.once_in(2) => self.drop_permit(permit, position),
            Ok(permit) => {
                let value = self.value();
                let steps = |answer: &Result<_, _>| completed(position, value, answer);
                _ = self.log.call(|| permit.complete(value), steps);
            }
            Err(_) => thread::yield_now(),
        }
    }

    /// Drops a permit. Another thread may have completed the position before; the drop does not
    /// report that.
    fn drop_permit(&mut self, permit: Permit<Handle<'r>>, position: u64) {
        let steps = vec![Step::AbandonClaim(position), Step::AbandonPublish(position)];
        self.log.call(|| drop(permit), |()| steps);
    }

    fn complete(&mut self, ticket: Ticket) {
        let value = self.value();
        let steps = |answer: &Result<_, _>| completed(ticket.position(), value, answer);
        _ = self.log.call(|| self.ring.complete(ticket, value), steps);
    }

    fn evict(&mut self, ticket: Ticket) {
        let steps = |answer: &Result<(), Reason>| evicted(ticket.position(), *answer);
        _ = self.log.call(|| self.ring.evict(ticket), steps);
    }

    fn rebuild(&mut self, first: Ticket, distance: u64) -> Option<Ticket> {
        let bits = first.to_bits() + u128::from(distance);
        let position = first.position() + distance;
        let steps = |answer: &Option<_>| vec![Step::Rebuild(position, answer.is_some())];
        self.log.call(|| self.ring.ticket_from_bits(bits).ok(), steps)
    }

    fn take(&mut self, consumer: &mut Consumer<Handle<'r>>) -> Result<(), TryNextError> {
        let polls = self.random.once_in(4);
        let take = || if polls { polled(consumer) } else { consumer.try_next() };
        self.log.call(take, taken).map(drop)
    }

    fn head_of_line(&mut self, consumer: &Consumer<Handle<'r>>) {
        self.log.call(|| consumer.head_of_line(), |head| vec![Step::Head(head.state)]);
    }

    fn evict_index(&mut self, consumer: &mut Consumer<Handle<'r>>) {
        let index = self.random.below(ITEMS) as u64;
        // Only the first batch of the ring has such evictions, so its indices equal positions.
        let steps = |answer: &Result<(), Reason>| match *answer {
            Err(Reason::Unreserved) => vec![Step::Unreserved(index)],
            answer => evicted(index, answer),
        };
        let evict = || consumer.evict_index(index).map_err(|error| error.reason);
        _ = self.log.call(evict, steps);
    }

    fn end(&mut self, producer: Producer<Handle<'r>>) {
        let finishes = self.random.once_in(2);
        let end = if finishes { TryNextError::Ended } else { TryNextError::Truncated };
        let side = Side::Producer(end);
        self.log.call(
            || if finishes { producer.finish() } else { drop(producer) },
            |()| vec![Step::DeclareEnd(end), Step::Leave(side), Step::Left(side)],
        );
    }

    fn leave(&mut self, consumer: Consumer<Handle<'r>>) {
        let side = Side::Consumer;
        self.log.call(
            || drop(consumer),
            |()| vec![Step::CancelToLeave, Step::Leave(side), Step::Left(side)],
        );
    }

    fn value(&mut self) -> usize {
        self.next_value += 1;
        self.next_value
    }
}

/// Polls once and returns the result as `try_next` would.
fn polled(consumer: &mut Consumer<Handle<'_>>) -> Result<Delivery<usize>, TryNextError> {
    match consumer.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Err(TryNextError::Pending),
        Poll::Ready(Ok(Some(delivery))) => Ok(delivery),
        Poll::Ready(Ok(None)) => Err(TryNextError::Ended),
        Poll::Ready(Err(NextError::Truncated)) => Err(TryNextError::Truncated),
        Poll::Ready(Err(_)) => Err(TryNextError::Cancelled),
    }
}

fn reserved(answer: Result<u64, ReserveError>) -> Vec<Step> {
    let check = answer.is_ok().then_some(Step::CheckCancel);
    check.into_iter().chain([Step::Reserve(answer)]).collect()
}

fn completed(position: u64, value: usize, answer: &Result<(), Rejected<usize>>) -> Vec<Step> {
    claimed(
        position,
        Cell::Ready(value),
        answer.as_ref().map(|_| ()).map_err(|rejected| rejected.reason),
    )
}

fn evicted(position: u64, answer: Result<(), Reason>) -> Vec<Step> {
    claimed(position, Cell::Gap(Gap::Evicted), answer)
}

fn claimed(position: u64, cell: Cell, answer: Result<(), Reason>) -> Vec<Step> {
    let publish = answer.is_ok().then_some(Step::Publish(position, cell));
    let claim = match cell {
        Cell::Gap(gap) => Cell::Leaving(gap),
        _ => Cell::Writing,
    };
    [Step::Claim(position, claim, answer)].into_iter().chain(publish).collect()
}

fn taken(answer: &Result<Delivery<usize>, TryNextError>) -> Vec<Step> {
    match answer {
        Ok(Delivery { index, outcome }) => vec![Step::Take(*index, *outcome), Step::Free],
        Err(error) => vec![Step::NoDelivery(*error)],
    }
}
