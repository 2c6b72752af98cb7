//! A batch with all its roles, which runs to its end while one thread is stopped.

use std::sync::Arc;
use std::task::{Context, Waker};

use reorder_ring::{Canceller, Consumer, Producer, Ring, Ticket};

use crate::drop_counter::{Counted, DropCounter};

pub(crate) type Shared = Arc<Ring<Counted>>;

/// A ring, and the handles and tickets of its batch. The thread that is stopped takes some of them.
pub(crate) struct World {
    pub(crate) ring: Shared,
    pub(crate) counter: DropCounter,
    /// The tickets of all reserved positions.
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) producer: Option<Producer<Shared>>,
    pub(crate) consumer: Option<Consumer<Shared>>,
    pub(crate) canceller: Canceller<Shared>,
}

impl World {
    /// Opens and splits a batch, and reserves `reserved` positions.
    pub(crate) fn new(capacity: usize, reserved: usize) -> World {
        let ring = Arc::new(Ring::with_capacity(capacity).unwrap());
        let (mut producer, consumer) = ring.open_owned().unwrap().split();
        let tickets = producer.reserve_many(reserved).unwrap().collect();
        World {
            canceller: consumer.canceller(),
            ring,
            counter: DropCounter::default(),
            tickets,
            producer: Some(producer),
            consumer: Some(consumer),
        }
    }

    pub(crate) fn complete(&self, index: usize) {
        self.ring.complete(self.tickets[index], self.counter.value()).unwrap();
    }

    /// Polls the consumer, whose head is missing.
    pub(crate) fn wait(&mut self) {
        let consumer = self.consumer.as_mut().unwrap();
        assert!(consumer.poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    /// Calls each operation of each role that the stopped thread left. Then drops all handles and
    /// opens the ring again.
    pub(crate) fn finish(mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if let Some(producer) = &mut self.producer {
            self.tickets.extend(producer.reserve());
            self.tickets.extend(producer.reserve_many(2).into_iter().flatten());
            _ = producer.poll_space(&mut context);
            drop(producer.permit());
        }
        for &ticket in self.tickets.iter().rev() {
            _ = self.ring.complete(ticket, self.counter.value());
            assert_eq!(self.ring.ticket_from_bits(ticket.to_bits()), Ok(ticket));
        }
        if let Some(consumer) = &mut self.consumer {
            take_in_order(consumer);
            _ = consumer.poll_next(&mut context);
            _ = consumer.evict_head();
            _ = consumer.head_of_line();
            take_in_order(consumer);
        }
        for &ticket in &self.tickets {
            _ = self.ring.evict(ticket);
            _ = self.ring.complete(ticket, self.counter.value());
        }
        self.canceller.cancel();
        if let Some(consumer) = &mut self.consumer {
            take_in_order(consumer);
        }
        drop((self.producer.take(), self.consumer.take()));
        if let Ok(mut batch) = self.ring.open() {
            let ticket = batch.reserve().unwrap();
            self.ring.complete(ticket, self.counter.value()).unwrap();
            assert!(batch.try_next().unwrap().outcome.is_ok());
        }
    }
}

fn take_in_order(consumer: &mut Consumer<Shared>) {
    let mut next = consumer.delivered();
    while let Ok(delivery) = consumer.try_next() {
        assert_eq!(delivery.index, next);
        next += 1;
    }
}
