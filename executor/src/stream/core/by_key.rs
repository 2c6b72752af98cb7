//! The items of a stream whose outcomes are in order by key.

use crate::io::{Admitted, KeyOfItem, OutputTicket, PullBuffer};
use crate::outcome::Stop;
use crate::scheduler::Scheduler;
use crate::stream::backlog::Reserved;
use crate::stream::core::{Claim, Core, Item, Parts};
use crate::unwind::discard;

impl<P: Parts> Core<P> {
    /// Leaves the items that were parked, and may start now, to this thread and others.
    pub(super) fn leave_opened(&self, scheduler: &Scheduler) {
        while let Some(ticket) = self.output.keys().and_then(|keys| keys.take_opened()) {
            let Some(item) = self.parked.take(ticket.slot) else { continue };
            let reserved = Reserved { ticket: OutputTicket::ByKey(ticket), first: ticket.index };
            let refused = self.backlog.push(reserved, |into| into.push(item));
            self.refuse_in_backlog(OutputTicket::ByKey(ticket), refused);
        }
        scheduler.idle.notify_work();
    }

    /// Gives an item its place in the order of its key. Takes the item out of the buffer if it has
    /// to wait.
    pub(super) fn admit<const MOST: usize>(
        &self,
        key: KeyOfItem,
        items: &mut PullBuffer<Item<P>, MOST>,
    ) -> Option<Claim> {
        let keys = self.output.keys()?;
        let index = self.progress.pulled();
        let (number, payload) = match key {
            Ok(number) => (Some(number), None),
            Err(payload) => (None, Some(payload)),
        };
        let admitted = keys.admit(index, number, |ticket| {
            items.for_each(|item| self.parked.put(ticket.slot, item));
        });
        let Some(admitted) = admitted else {
            discard(payload);
            return None;
        };
        self.progress.pull(1);
        Some(match (admitted, payload) {
            (Admitted::Parked(_), _) => Claim::Parked,
            (Admitted::Open(ticket), Some(payload)) => {
                Claim::NoKey(OutputTicket::ByKey(ticket), payload)
            }
            (Admitted::Open(ticket), None) => {
                Claim::Items(Reserved { ticket: OutputTicket::ByKey(ticket), first: index })
            }
        })
    }

    /// Gives outcomes to the items with a key that have none. Returns `true` if there were any.
    pub(super) fn stop_keys(&self, stop: Stop) -> bool {
        let mut unparked = Vec::new();
        let also_open = self.output.is_aborted();
        let unpark = |slot| unparked.extend(self.parked.take(slot));
        let stopped = self.output.stop_keys(stop, also_open, unpark);
        self.refuse(unparked);
        stopped > 0
    }
}
