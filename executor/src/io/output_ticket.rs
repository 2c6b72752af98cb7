//! The places of items in the output of a call: in its order, or in the order of their keys.

use std::sync::Arc;

use reorder_ring::{Producer, Ticket};

use crate::io::chunk::ChunkRing;
use crate::io::key_order::KeyOrder;
use crate::io::key_table::{Admitted, KeyTicket};
use crate::unwind::catch_panic;

/// The right to complete an item, or a chunk of items. A second completion is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OutputTicket {
    /// A position of the ring.
    InOrder(Ticket),
    /// A slot of the table of keys.
    ByKey(KeyTicket),
}

impl OutputTicket {
    /// Returns the index of the item. If the ticket is for a chunk, returns the position of the
    /// chunk.
    pub(crate) fn index(&self) -> u64 {
        match self {
            OutputTicket::InOrder(ticket) => ticket.position(),
            OutputTicket::ByKey(ticket) => ticket.index,
        }
    }
}

/// The end of an output that gives items their tickets. Dropping it abandons the output: its
/// consumer learns that items are missing.
pub(crate) struct OutputProducer<U, E>(Option<Kind<U, E>>);

enum Kind<U, E> {
    InOrder(Producer<ChunkRing<U, E>>),
    ByKey(Arc<KeyOrder<U, E>>),
}

impl<U, E> OutputProducer<U, E> {
    pub(crate) fn in_order(producer: Producer<ChunkRing<U, E>>) -> Self {
        OutputProducer(Some(Kind::InOrder(producer)))
    }

    pub(crate) fn by_key(keys: Arc<KeyOrder<U, E>>) -> Self {
        OutputProducer(Some(Kind::ByKey(keys)))
    }

    /// Returns the ticket of the next item, or chunk of items. In a call with keys, the item has no
    /// key. Returns `None` if the consumer has gone.
    ///
    /// `index` is the index of the item.
    pub(crate) fn reserve(&mut self, index: u64) -> Option<OutputTicket> {
        match self.0.as_mut()? {
            Kind::InOrder(producer) => producer.reserve().ok().map(OutputTicket::InOrder),
            Kind::ByKey(keys) => match keys.admit(index, None, |_| ())? {
                Admitted::Open(ticket) | Admitted::Parked(ticket) => {
                    Some(OutputTicket::ByKey(ticket))
                }
            },
        }
    }

    /// Declares that no more items will come.
    pub(crate) fn finish(mut self) {
        // It may drop undelivered values, and wake the consumer.
        match self.0.take() {
            Some(Kind::InOrder(producer)) => catch_panic(|| producer.finish()),
            Some(Kind::ByKey(keys)) => keys.finish(),
            None => {}
        }
    }
}

impl<U, E> Drop for OutputProducer<U, E> {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Kind::InOrder(producer)) => catch_panic(|| drop(producer)),
            Some(Kind::ByKey(keys)) => keys.abandon(),
            None => {}
        }
    }
}
