//! Requests whose outcomes are in order by key.
//!
//! The lock of the table of keys comes before the lock of the dispatcher: a thread that parks an
//! item takes the second inside of the first. No thread takes them in the other order.

use crate::io::{Admitted, KeyOfItem, KeyTicket, OutputTicket};
use crate::outcome::{Failure, Stop};
use crate::primitive::{lock, now};
use crate::requests::driver::Driver;
use crate::requests::in_flight::{ItemOf, Jobs, PendingItem};
use crate::stream::Skip;
use crate::unwind::discard;

impl<J: Jobs> Driver<J> {
    /// Adds an item that was pulled, in the order of its key. Returns `false` if no more items are
    /// wanted.
    pub(super) fn admit(&self, key: KeyOfItem, item: ItemOf<J>) -> bool {
        let (number, payload) = match key {
            Ok(number) => (Some(number), None),
            Err(payload) => (None, Some(payload)),
        };
        let (mut item, mut refused) = (Some(item), None);
        let park = |ticket| {
            let Some(item) = item.take() else { return };
            let pending = PendingItem { ticket: OutputTicket::ByKey(ticket), item };
            // Before another thread may open the item.
            refused = lock(&self.dispatcher).pulled_parked(pending, now()).err();
        };
        let keys = self.output.keys();
        let admitted = keys.and_then(|keys| keys.admit(self.pulled(), number, park));
        let is_wanted = admitted.is_some() && refused.is_none();
        if let Some(refused) = refused {
            self.refuse_pulled(refused);
        }
        match (admitted, payload) {
            (Some(Admitted::Open(ticket)), Some(payload)) => {
                lock(&self.dispatcher).pulled_finished();
                self.output
                    .complete_one(OutputTicket::ByKey(ticket), Err(Failure::panicked(payload)));
            }
            (Some(Admitted::Open(ticket)), None) => {
                return item
                    .take()
                    .is_none_or(|item| self.add(Some(OutputTicket::ByKey(ticket)), item));
            }
            (_, payload) => discard(payload),
        }
        discard(item);
        is_wanted
    }

    /// Lets the items start that were parked, and have room now.
    pub(super) fn start_opened(&self) {
        while let Some(ticket) = self.output.keys().and_then(|keys| keys.take_opened()) {
            lock(&self.dispatcher).open_parked(ticket.index, now());
        }
        self.changed();
    }

    /// Gives an item up. Returns `false` if it has an outcome, or gets one from another thread.
    pub(super) fn give_up(&self, ticket: KeyTicket, stop: Stop) -> bool {
        match self.skip_item(ticket.index, stop) {
            Skip::Ending => return false,
            Skip::Completed => {}
            Skip::Evict | Skip::Stopped(_) => {
                let failure = Failure::stopped(stop, 1, None);
                self.output.complete_one(OutputTicket::ByKey(ticket), Err(failure));
            }
        }
        self.start_opened();
        true
    }

    /// Ends the items that have no outcome, because the batch ends early. The items that did not
    /// run have theirs.
    pub(super) fn stop_by_key(&self, stop: Stop) -> Skip {
        let Some(keys) = self.output.keys() else { return Skip::Evict };
        let mut any = self.output.stop_keys(stop, false, |_| ()) > 0;
        if self.output.is_aborted() {
            for ticket in keys.open_tickets() {
                any |= self.give_up(ticket, stop);
            }
        }
        Skip::Stopped(any)
    }
}
