//! Calls of dispatchers whose outcomes are in order by key.
//!
//! The lock of the table of keys comes before the lock of the dispatcher: a thread that parks an
//! item takes the second inside of the first. No thread takes them in the other order.

use crate::dispatch::call::Call;
use crate::dispatch::dispatcher::{Dispatch, ItemTicket, Skipped};
use crate::io::{Admitted, KeyOfItem, KeyTicket, OutputTicket, Overdue};
use crate::outcome::{Failure, Stop};
use crate::stream::Skip;
use crate::unwind::discard;

impl<D: Dispatch> Call<D> {
    /// Adds an item that was pulled, in the order of its key. Returns `false` if no more items are
    /// wanted.
    pub(super) fn admit(&self, key: KeyOfItem, item: D::Item) -> bool {
        let (number, payload) = match key {
            Ok(number) => (Some(number), None),
            Err(payload) => (None, Some(payload)),
        };
        let (mut item, mut refused) = (Some(item), None);
        let mut is_lost = false;
        let index = self.pulled();
        let park = |ticket| {
            let Some(item) = item.take() else { return };
            let ticket = OutputTicket::ByKey(ticket);
            // Before another thread may open the item.
            self.count_pulled();
            let added =
                self.ask_under_lock(|dispatch| dispatch.add(ItemTicket(ticket), item, false));
            is_lost = added.is_none();
            refused = added.and_then(Result::err).map(|item| (ticket, item));
        };
        let keys = self.output.keys();
        let admitted = keys.and_then(|keys| keys.admit(index, number, park));
        self.break_off();
        let is_wanted = admitted.is_some() && refused.is_none() && !is_lost;
        if let Some((ticket, item)) = refused {
            self.refuse_pulled(ticket, item);
        }
        match (admitted, payload) {
            (Some(Admitted::Open(ticket)), Some(payload)) => {
                self.count_finished();
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
            self.ask(|dispatch| dispatch.open(ticket.index));
        }
        self.changed();
    }

    /// Gives up the items whose time is up.
    pub(super) fn give_up_overdue_items(&self) -> Overdue {
        self.output.give_up_overdue(|ticket, stop| self.give_up(ticket, stop))
    }

    /// Gives an item up. Returns `false` if it has an outcome, or gets one from another thread.
    fn give_up(&self, ticket: KeyTicket, stop: Stop) -> bool {
        let mut is_given_up = true;
        match self.ask(|dispatch| dispatch.skip(self, ticket.index, stop)) {
            Some(Skipped::Ending) => return false,
            Some(Skipped::Completed) => {}
            Some(Skipped::Evict) | None => {
                let failure = Failure::stopped(stop, 1, None);
                let ticket = OutputTicket::ByKey(ticket);
                // If it is refused, another thread has completed the item meanwhile.
                is_given_up = self.output.try_complete_one(ticket, Err(failure)).is_none();
            }
        }
        self.start_opened();
        is_given_up
    }

    /// Ends the items that have no outcome, because the call ends early. The items that did not run
    /// may have theirs.
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
